"""Several trackers of one run, each independent of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmlab.errors import ConfigError
from lmlab.tracking.guarded_tracker import GuardedTracker


class SeveralTrackers:
    """Passes everything to each of several trackers; none for a run without a tracker.

    Each is guarded by itself, so that one that raises or hangs ends its own tracking alone. A
    tracker that hangs delays the end of the run by
    :data:`lmlab.tracking.guarded_tracker.FINISH_SECONDS`.

    Args:
        starts: starts each tracker, by its dotted key in the configuration.

    Raises:
        ConfigError: a tracker refuses its settings; those that have started are ended.
    """

    def __init__(self, starts: Mapping[str, Callable[[], GuardedTracker]]) -> None:
        self._trackers: dict[str, GuardedTracker] = {}
        try:
            for key, start in starts.items():
                self._trackers[key] = start()
        except ConfigError:
            self.finish(1)
            raise

    def log(self, row: dict[str, Any]) -> None:
        """Record a row; see :class:`lmlab.tracking.Tracker`."""
        for tracker in self._trackers.values():
            tracker.log(row)

    def samples(self, rows: Sequence[dict[str, Any]]) -> None:
        """Record samples; see :class:`lmlab.tracking.Tracker`."""
        for tracker in self._trackers.values():
            tracker.samples(rows)

    def summary(self, values: dict[str, Any]) -> None:
        """Record the final values; see :class:`lmlab.tracking.Tracker`."""
        for tracker in self._trackers.values():
            tracker.summary(values)

    def finish(self, exit_code: int) -> None:
        """End the session of each."""
        for tracker in self._trackers.values():
            tracker.finish(exit_code)

    def delivered(self) -> list[str]:
        """Return the keys of the trackers that have ended their session and took every call."""
        return [key for key, tracker in self._trackers.items() if tracker.has_delivered]
