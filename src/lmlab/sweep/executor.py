"""The interface between the driver of a sweep and the place where its jobs run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

from lmlab.sweep.scheduled_run import ScheduledRun


@dataclasses.dataclass(frozen=True)
class JobResult:
    """The result of a job that has ended, perhaps before its run was done.

    Attributes:
        state: next state of an unfinished run: ``failed``, ``interrupted``, ``elsewhere``, or
            ``queued`` to start it again.
        reason: explains the state in one line.
        exit_code: exit code of the process; None if unknown.
    """

    state: str
    reason: str = ""
    exit_code: int | None = None


class Executor(Protocol):
    """Starts the jobs of a sweep and reports how they ended."""

    outlives_driver: bool  # whether jobs continue when the driver leaves
    leave_message: str  # about a run that is still open when the driver leaves

    def attach(self, run: ScheduledRun) -> bool:
        """Attach to the job of an earlier launch; return False if there is none."""
        ...

    def has_capacity(self) -> bool:
        """Return whether another job can start now."""
        ...

    def start(self, run: ScheduledRun, total_runs: int) -> None:
        """Start a run, one of ``total_runs`` in the sweep; its state is then not ``queued``."""
        ...

    def flush(self) -> None:
        """Start the runs that :meth:`start` collected."""
        ...

    def poll(self, active: Sequence[ScheduledRun]) -> Iterator[tuple[ScheduledRun, JobResult]]:
        """Yield the runs whose jobs have ended since the last call."""
        ...

    def stop(self, active: Sequence[ScheduledRun], kill: bool) -> None:
        """Ask jobs to save and exit, or kill them."""
        ...
