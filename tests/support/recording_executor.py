"""An executor that finishes runs at once by writing their files, without training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lmlab.build.identity import run_identity
from lmlab.config.compose import settings_to_yaml
from lmlab.config.identity_settings import identity_settings
from lmlab.runs import auto_settings
from lmlab.runs.run_register import register
from lmlab.sweep.executor import JobResult
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.scheduled_run import ScheduledRun

_DATA = RunDataCache()  # its keys contain the output root, which is another one in each test


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


def write_metadata(run: ScheduledRun) -> None:
    """Write what a run records when it starts: whose results its folder holds."""
    device = auto_settings.build_device(run.config)
    identity = run_identity(identity_settings(run.config), _DATA.get(run.config), device)
    run.folder.path.mkdir(parents=True, exist_ok=True)
    run.folder.config.write_text(settings_to_yaml(run.config.as_dict()), "utf-8")
    run.folder.write_meta({"run": run.folder.key(identity), "identity": identity})
    register(Path(run.config.output_root), run.folder, identity)


def write_run(run: ScheduledRun, first: float, last: float, status: str = "done") -> None:
    """Write the files of a finished run, with a validation loss before and after training."""
    write_metadata(run)
    steps = run.config.training.steps
    for step, loss in ((0, first), (steps, last)):
        run.folder.append_row({"kind": "validation", "step": step, "loss": loss})
    run.folder.write_status(status, step=steps, steps=steps, run=run.folder.recorded_key())
