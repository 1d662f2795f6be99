"""The training side of wandb: rows go to a separate worker process, which calls wandb.

In the training process, wandb can block a call for 20 s when the network fails, wait for uploads
without limit at exit, and write to the terminal. The training process can abandon the worker
instead. The worker also outlives a killed run long enough to store its rows.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.storage.io import make_folder, translate_write_errors, write_json

log = logging.getLogger("lmlab.tracking")

FINISH_SECONDS = 30.0
START_SECONDS = 10.0  # at most; wandb starts after the first update
_MAX_QUEUED = 20_000  # rows, a few MB; more means that the worker hangs
# The worker has the same sys.path, and does not run __main__ again.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from lmlab.tracking.wandb_worker import main; sys.exit(main(*sys.argv[2:]))"
)


class WandbTracker:
    """One session of a wandb run; only ``finish`` blocks.

    wandb starts after the first update, or after ``START_SECONDS``.

    Args:
        folder: where wandb keeps its files.
        mode: ``auto``, ``online`` or ``offline``.
        init: keyword arguments of ``wandb.init``, as plain values.

    Raises:
        OSError: the worker cannot be started.
        DiskError: the folder cannot be written.
    """

    def __init__(self, folder: Path, *, mode: str, init: dict[str, Any]) -> None:
        self._folder = make_folder(folder)
        session = folder / "session.json"
        write_json(session, {"mode": mode, "init": init, "parent": os.getpid()})
        reports, reporting = os.pipe()
        try:
            with (
                translate_write_errors(folder / "session.log"),
                open(folder / "session.log", "wb") as output,
            ):
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _START, json.dumps(sys.path), session, str(reporting)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    pass_fds=(reporting,),
                    start_new_session=True,  # only the run handles Ctrl-C; wandb cannot prompt
                    env=self._environment(),
                )
        except BaseException:
            os.close(reports)
            raise
        finally:
            os.close(reporting)
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MAX_QUEUED)
        self._is_open, self._has_reported = True, False
        self._may_start = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(reports,), daemon=True)
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._reader.start()
        self._writer.start()

    def log(self, row: dict[str, Any]) -> None:
        """Send a row; see :class:`lmlab.tracking.Tracker`."""
        self._send("log", row)
        if row["kind"] == "train":
            self._may_start.set()

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Send samples as a table; see :class:`lmlab.tracking.Tracker`."""
        self._send("samples", list(rows))

    def summary(self, values: dict[str, Any]) -> None:
        """Send the final metrics; see :class:`lmlab.tracking.Tracker`."""
        self._send("summary", values)

    def finish(self, exit_code: int) -> None:
        """End the session; kill the worker where it takes longer than ``FINISH_SECONDS``."""
        self._send("finish", exit_code)
        self._is_open = False
        self._may_start.set()
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        try:
            self._process.wait(FINISH_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._warn(
                f"did not end in time; run wandb sync {self._folder}/*run-* to upload the rest"
            )
        self._report_end()

    def _send(self, kind: str, value: Any) -> None:
        if not self._is_open:
            return
        line = json.dumps([kind, value], default=str).encode() + b"\n"
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._is_open = False
            self._warn("cannot keep up and was stopped; metrics are in metrics.jsonl only")

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        self._may_start.wait(START_SECONDS)
        try:
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()
        except OSError:  # the worker has ended
            self._is_open = False
            self._report_end()
        finally:
            with contextlib.suppress(OSError):
                pipe.close()

    def _read(self, reports: int) -> None:
        with open(reports, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._warn(line.strip())

    def _report_end(self) -> None:
        """Warn that the worker crashed, unless it reported a problem itself."""
        self._reader.join(timeout=1)
        if self._process.poll() != 0 and not self._has_reported:
            self._warn(
                f"crashed (see {self._folder}/session.log); metrics are in metrics.jsonl only"
            )

    def _warn(self, text: str) -> None:
        self._has_reported = True
        log.warning("wandb: %s", text)

    def _environment(self) -> dict[str, str]:
        # wandb reads the folders of table copies and of its log from the environment only.
        folders = {"WANDB_DATA_DIR": "data", "WANDB_CACHE_DIR": "cache"}
        return {**os.environ, **{name: str(self._folder / path) for name, path in folders.items()}}
