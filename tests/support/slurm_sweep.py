"""A sweep folder whose runs are submitted to Slurm, without a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmlab.config.compose import compose, from_dict
from lmlab.design.job import Job
from lmlab.run_folder import RunFolder
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.slurm.resources import ArmResources, Resources
from lmlab.sweep.slurm.settings import SubmissionSettings
from lmlab.sweep.slurm.slurm_executor import SlurmExecutor
from lmlab.sweep.slurm.slurm_records import submission_records
from lmlab.sweep.submission_records import Submission


class SlurmSweep:
    """A sweep folder, its runs, and executors that may be started again on it."""

    def __init__(self, root: Path, overrides: list[str], name: str = "s") -> None:
        self.root, self.overrides = root, overrides
        self.folder = SweepFolder(root / "outputs" / name / "sweeps" / "id")
        self.printed: list[str] = []
        self.data = RunDataCache()

    def executor(
        self,
        resources: ArmResources | None = None,
        settings: SubmissionSettings | None = None,
        **changes: Any,
    ) -> SlurmExecutor:
        settings = settings or SubmissionSettings(
            resources or ArmResources(Resources()), poll_seconds=0.0
        )
        return SlurmExecutor(
            self.folder, "s", self.data, settings, self.root, self.printed.append, **changes
        )

    def run(self, seed: int, arm: str = "a") -> ScheduledRun:
        content = compose([*self.overrides, f"seed={seed}"]).as_dict()
        content = ArmResources(Resources()).resolve_runtime(content, arm)
        folder = RunFolder(self.root / "runs" / f"{arm}{seed}")
        folder.path.mkdir(parents=True, exist_ok=True)
        log = self.root / "log"
        return ScheduledRun(Job(arm, None, seed), ["run"], from_dict(content), folder, log)

    def submit(self, *runs: ScheduledRun, executor: SlurmExecutor | None = None) -> SlurmExecutor:
        executor = executor or self.executor()
        for run in runs:
            executor.start(run, len(runs))
        executor.flush()
        return executor

    @property
    def submissions(self) -> list[Submission]:
        return submission_records(self.folder).submissions()
