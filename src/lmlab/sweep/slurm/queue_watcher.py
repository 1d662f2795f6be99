"""The states of jobs, queried from Slurm at most every few seconds."""

from __future__ import annotations

import time
from collections.abc import Collection

from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.queue import JobState


class QueueWatcher:
    """Caches the states of all jobs that were asked for.

    Args:
        poll_seconds: least seconds between queries for the same jobs.
    """

    def __init__(self, poll_seconds: float) -> None:
        self.poll_seconds = poll_seconds
        self._states: dict[tuple[str, int], JobState] = {}
        self._names: set[str] = set()
        self._queried = 0.0

    @property
    def is_due(self) -> bool:
        """Whether the states are older than ``poll_seconds``."""
        return time.monotonic() - self._queried >= self.poll_seconds

    def refresh(self, names: Collection[str]) -> None:
        """Query the states, if they are due or a name is new.

        Args:
            names: names of job arrays.

        Raises:
            UnreachableError: Slurm does not respond.
        """
        if not self.is_due and self._names.issuperset(names):
            return
        self._states = queue.states_by_name(self._names.union(names))
        self._names.update(names)
        self._queried = time.monotonic()

    def expire(self) -> None:
        """Make the next :meth:`refresh` query Slurm, because jobs may have been submitted."""
        self._queried = 0.0

    def postpone(self) -> None:
        """Wait ``poll_seconds`` before the next query, because Slurm did not respond."""
        self._queried = time.monotonic()

    def state(self, name: str, index: int) -> JobState | None:
        """Return the state of a job at the last query; None if Slurm did not list it."""
        return self._states.get((name, index))
