"""trackio: a local dashboard of the runs of this machine (``trackio show --project lmlab``).

A thread of trackio writes rows to a local database; no server is involved unless one is set.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any


class TrackioTracker:
    """One session of a trackio run, with the whole history of the run.

    It replaces the trackio run of an earlier session, in which rows after the checkpoint would
    appear twice.

    Args:
        library: the ``trackio`` module.
        init: keyword arguments of ``trackio.init``.
        earlier_rows: rows of ``metrics.jsonl`` before this session.
    """

    replays_earlier_rows = True

    def __init__(
        self, library: Any, *, init: dict[str, Any], earlier_rows: Sequence[dict[str, Any]] = ()
    ) -> None:
        self._library = library
        with _muted():
            if not _is_remote(init):
                _remove(library, init["project"], init["name"])
            elif earlier_rows:  # a run on a server stays, as a run of its own
                now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
                init = init | {"name": f"{init['name']} {now}"}
            self._run = library.init(**init)
        for row in earlier_rows:
            self.log(row)

    def log(self, row: dict[str, Any]) -> None:
        """Record a row; see :class:`lmlab.tracking.Tracker`."""
        kind = "/".join(row[key] for key in ("kind", "name") if key in row) or "row"
        metrics = {k: value for k, value in row.items() if k not in ("kind", "name", "step")}
        with _muted():
            self._run.log(
                {f"{kind}/{key}": value for key, value in metrics.items()}, row.get("step")
            )

    def samples(self, rows: Sequence[dict[str, Any]]) -> None:
        """Record samples as Markdown; see :class:`lmlab.tracking.Tracker`."""
        text = "\n\n".join(f"**{row['prompt']}**{row['text']}" for row in rows)
        step = rows[0].get("step") if rows else None
        with _muted():
            self._run.log({"samples": self._library.Markdown(text)}, step)

    def summary(self, values: dict[str, Any]) -> None:
        """Record the final values; see :class:`lmlab.tracking.Tracker`."""
        named = {f"final/{key}": value for key, value in values.items() if value is not None}
        with _muted():
            self._run.log(named, values.get("step"))

    def finish(self, exit_code: int) -> None:
        """End the session."""
        del exit_code
        with _muted():
            self._run.finish()
            current = self._library.context_vars.current_run
            if current.get() is self._run:  # otherwise trackio would end it again at exit
                current.set(None)


def _is_remote(init: dict[str, Any]) -> bool:
    variables = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")  # which trackio reads as well
    return bool(init.keys() & {"space_id", "server_url"}) or any(map(os.environ.get, variables))


def _remove(library: Any, project: str, name: str) -> None:
    """Remove the run of an earlier session from the local database."""
    with contextlib.suppress(ValueError):  # no such project yet
        for run in library.Api().runs(project):
            if run.name == name:
                run.delete()


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Suppress what trackio prints in this thread; others may print meanwhile."""
    thread = threading.get_ident()
    with _lock:
        _muted_threads.add(thread)
        if not isinstance(sys.stdout, _OtherThreads):
            sys.stdout = _OtherThreads(sys.stdout)
    try:
        yield
    finally:
        with _lock:
            _muted_threads.discard(thread)
            if not _muted_threads and isinstance(sys.stdout, _OtherThreads):
                sys.stdout = sys.stdout.output


_lock = threading.Lock()
_muted_threads: set[int] = set()


class _OtherThreads:
    """Standard output without the text of the muted threads."""

    def __init__(self, output: Any) -> None:
        self.output = output

    def write(self, text: str) -> int:
        if threading.get_ident() in _muted_threads:
            return len(text)
        return int(self.output.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.output, name)
