"""trackio: the runs of this machine on a local page, ``trackio show --project lmlab``.

It keeps rows in a local database, from a thread of its own, and talks to no server. Where the
database lies is trackio's to say (``TRACKIO_DIR``), so that its page finds the runs of all studies.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

log = logging.getLogger("lmlab.tracking")

# What its database raises on a full disk, a damaged file, or a value that it cannot store.
_FAILURES = (OSError, sqlite3.Error, RuntimeError, ValueError, TypeError)


class TrackioTracker:
    """One session of a trackio run; anything that goes wrong ends the tracking, never the run.

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
        """Keep a row; see :class:`lmlab.tracking.Tracker`."""
        if self._run is None:
            return
        kind = row.get("kind", "row")
        own = {key: value for key, value in row.items() if key not in ("kind", "step")}
        with self._guarded():
            self._run.log({f"{kind}/{key}": value for key, value in own.items()}, row.get("step"))

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Keep samples as a text; see :class:`lmlab.tracking.Tracker`."""
        if self._run is None:
            return
        text = "\n\n".join(f"**{row['prompt']}**{row['text']}" for row in rows)
        with self._guarded():
            self._run.log({"samples": self._library.Markdown(text)})

    def summary(self, values: dict[str, Any]) -> None:
        """Keep the final numbers; see :class:`lmlab.tracking.Tracker`."""
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
                if current.get() is self._run:  # which would else be ended again at exit
                    current.set(None)
        self._run = None

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keep trackio's words off the terminal, and its failures off the run."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except _FAILURES as error:
            self._run = None
            log.warning("trackio: %s; metrics.jsonl has everything", error)
