"""trackio: a local dashboard of the runs of this machine (``trackio show --project lmlab``).

A thread of trackio writes rows to a local database; no server is involved. Set ``TRACKIO_DIR`` to
change the folder of the database, which all studies share.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

log = logging.getLogger("lmlab.tracking")

# Raised by trackio on a full disk, a damaged database, or a value that cannot be stored.
_FAILURES = (OSError, sqlite3.Error, RuntimeError, ValueError, TypeError)


class TrackioTracker:
    """One session of a trackio run; an error ends the tracking, never the run.

    Args:
        library: the ``trackio`` module.
        init: keyword arguments of ``trackio.init``.
    """

    def __init__(self, library: Any, *, init: dict[str, Any]) -> None:
        self._library = library
        self._run: Any = None
        with self._guarded():
            self._run = library.init(**init)

    def log(self, row: dict[str, Any]) -> None:
        """Record a row; see :class:`lmlab.tracking.Tracker`."""
        if self._run is None:
            return
        kind = row.get("kind", "row")
        metrics = {key: value for key, value in row.items() if key not in ("kind", "step")}
        with self._guarded():
            self._run.log(
                {f"{kind}/{key}": value for key, value in metrics.items()}, row.get("step")
            )

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Record samples as Markdown; see :class:`lmlab.tracking.Tracker`."""
        if self._run is None:
            return
        text = "\n\n".join(f"**{row['prompt']}**{row['text']}" for row in rows)
        with self._guarded():
            self._run.log({"samples": self._library.Markdown(text)})

    def summary(self, values: dict[str, Any]) -> None:
        """Record the final metrics; see :class:`lmlab.tracking.Tracker`."""
        if self._run is None:
            return
        numbers = {f"final/{key}": value for key, value in values.items() if value is not None}
        with self._guarded():
            self._run.log(numbers)

    def finish(self, exit_code: int) -> None:
        """End the session."""
        del exit_code
        if self._run is not None:
            with self._guarded():
                self._run.finish()
                current = self._library.context_vars.current_run
                if current.get() is self._run:  # otherwise trackio would end it again at exit
                    current.set(None)
        self._run = None

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Suppress trackio's output, and end the tracking on its errors."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except _FAILURES as error:
            self._run = None
            log.warning("trackio: %s; metrics are in metrics.jsonl only", error)
