"""An executor that finishes runs at once by writing their files, without training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lmlab.sweep.executor import JobResult
from lmlab.sweep.scheduled_run import ScheduledRun


class RecordingExecutor:
    """Records the runs that it starts; :meth:`poll` ends each as ``finish`` says.

    Args:
        finish: writes the files of a run and returns the result of its job.
        capacity: the most runs at a time.
    """

    outlives_driver, leave_message = True, "left"

    def __init__(self, finish: Callable[[ScheduledRun], JobResult], capacity: int = 1000) -> None:
        self.finish, self.capacity = finish, capacity
        self.started: list[ScheduledRun] = []
        self.active = 0
        self.most_active = 0

    def attach(self, run: ScheduledRun) -> bool:
        return False

    def has_capacity(self) -> bool:
        return self.active < self.capacity

    def start(self, run: ScheduledRun, total_runs: int) -> None:
        self.started.append(run)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        run.state = "running"

    def flush(self) -> None:
        pass

    def poll(self, active: Sequence[ScheduledRun]) -> Iterator[tuple[ScheduledRun, JobResult]]:
        for run in active:
            self.active -= 1
            yield run, self.finish(run)

    def stop(self, active: Sequence[ScheduledRun], kill: bool) -> None:
        pass


def write_run(run: ScheduledRun, *losses: float, status: str = "done") -> None:
    """Write the status and the validation losses of a finished run."""
    run.folder.path.mkdir(parents=True, exist_ok=True)
    for step, loss in enumerate(losses):
        run.folder.append_row({"kind": "validation", "step": step, "loss": loss})
    run.folder.write_status(status)
