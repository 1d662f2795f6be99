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
from lmlab.storage.json_text import dump_json

log = logging.getLogger("lmlab.tracking")

FINISH_SECONDS = 30.0
START_SECONDS = 10.0  # at most; wandb starts after the first update
_SECONDS_PER_ROW = 0.005  # ten times what wandb takes for a row
_MAX_QUEUED = 20_000  # rows, a few MB; more means that the worker hangs
# Variables that would move the history of a run into another one, or that the arguments of
# ``wandb.init`` replace.
_NOT_PASSED_ON = {
    "WANDB_RUN_ID", "WANDB_RESUME", "WANDB_RESUME_FROM", "WANDB_FORK_FROM", "WANDB_RUN_DIR",
    "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_PROJECT", "WANDB_NAME", "WANDB_NOTES",
    "WANDB_RUN_GROUP", "WANDB_JOB_TYPE", "WANDB_TAGS", "WANDB_DIR", "WANDB_MODE", "WANDB_DISABLED",
}  # fmt: skip
# The worker has the same sys.path, and does not run __main__ again.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from lmlab.tracking.wandb_worker import main; sys.exit(main(*sys.argv[2:]))"
)


class WandbTracker:
    """One session of a wandb run; only ``finish`` blocks.

    wandb starts after the first update, or after ``START_SECONDS``. ``has_failed`` says after
    ``finish`` whether something is missing.

    Args:
        folder: where wandb keeps its files.
        mode: ``auto``, ``online`` or ``offline``.
        init: keyword arguments of ``wandb.init``, as plain values.
        earlier_rows: rows of ``metrics.jsonl`` before this session, which the wandb run begins
            with: wandb does not join the histories of several sessions.
        base_url: the server; None for wandb's default.

    Raises:
        OSError: the worker cannot be started.
        DiskError: the folder cannot be written.
    """

    replays_earlier_rows = True

    def __init__(
        self,
        folder: Path,
        *,
        mode: str,
        init: dict[str, Any],
        earlier_rows: Sequence[dict[str, Any]] = (),
        base_url: str | None = None,
    ) -> None:
        self._folder, self._base_url = make_folder(folder), base_url
        session = folder / "session.json"
        settings = {"mode": mode, "init": init, "parent": os.getpid()}
        write_json(session, settings | {"earlier_rows": list(earlier_rows)})
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
        self.has_failed = False
        self._finish_seconds = FINISH_SECONDS + _SECONDS_PER_ROW * len(earlier_rows)
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

    def samples(self, rows: Sequence[dict[str, Any]]) -> None:
        """Send samples as a table; see :class:`lmlab.tracking.Tracker`."""
        self._send("samples", list(rows))

    def summary(self, values: dict[str, Any]) -> None:
        """Send the final metrics; see :class:`lmlab.tracking.Tracker`."""
        self._send("summary", values)

    def finish(self, exit_code: int) -> None:
        """End the session; kill the worker where it takes longer than ``FINISH_SECONDS``."""
        self._send("finish", exit_code)
        was_open, self._is_open = self._is_open, False
        self._may_start.set()
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        try:
            self._process.wait(self._finish_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._warn("did not end in time; a part of the metrics is in metrics.jsonl only")
        self._report_end()
        self.has_failed = not was_open or self._process.poll() != 0

    def _send(self, kind: str, value: Any) -> None:
        if not self._is_open:
            return
        line = dump_json([kind, value], default=str).encode() + b"\n"
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
        variables = {name: text for name, text in os.environ.items() if name not in _NOT_PASSED_ON}
        if self._base_url:
            variables["WANDB_BASE_URL"] = self._base_url
        return variables | {name: str(self._folder / path) for name, path in folders.items()}
