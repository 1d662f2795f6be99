"""Submit runs as job arrays, one for each resource request."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lmlab.config.compose import from_dict, to_yaml
from lmlab.storage.io import atomic_write_text
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.slurm.resources import Resources
from lmlab.sweep.slurm.sbatch import submit_array
from lmlab.sweep.slurm.settings import SubmissionSettings
from lmlab.sweep.slurm.slurm_records import submission_records
from lmlab.sweep.submission_records import Assignment, RunOwners, Submission

ARRAY_JOB_MODULE = "lmlab.sweep.slurm.array_job"


class ArraySubmitter:
    """Writes the record of a submission, makes it the owner of its runs, and calls sbatch.

    Args:
        folder: folder of the sweep.
        study: name of the study.
        settings: how jobs are submitted.
        code: snapshot of the code that the jobs run.
        owners: the submission that owns each run.
        print_line: prints a message.
    """

    def __init__(
        self,
        folder: SweepFolder,
        study: str,
        settings: SubmissionSettings,
        code: Path,
        owners: RunOwners,
        print_line: Callable[[str], None],
    ) -> None:
        self.folder, self.study, self.settings = folder, study, settings
        self.code, self.owners, self.print_line = code, owners, print_line

    def submit(
        self,
        runs: Sequence[ScheduledRun],
        identity_of: Callable[[ScheduledRun], str],
        previous: Mapping[str, Assignment],
    ) -> Iterator[tuple[ScheduledRun, Submission, Assignment]]:
        """Submit runs, and yield them with their submissions.

        Args:
            runs: runs that no job has.
            identity_of: returns the key of a run's identity.
            previous: last assignment of runs that were submitted before, by run key.

        Raises:
            ConfigError: Slurm refuses the jobs.
        """
        by_request: dict[Resources, list[ScheduledRun]] = {}
        for run in runs:
            by_request.setdefault(self.settings.resources.for_arm(run.job.arm), []).append(run)
        for resources, group in by_request.items():
            submission = submission_records(self.folder).create()
            assignments = [
                self._assign(submission, number, group, identity_of(run), previous.get(run.key))
                for number, run in enumerate(group)
            ]
            self._submit(submission, assignments, resources)
            for run, assignment in zip(group, assignments, strict=True):
                yield run, submission, assignment

    def _assign(
        self,
        submission: Submission,
        number: int,
        group: Sequence[ScheduledRun],
        identity: str,
        previous: Assignment | None,
    ) -> Assignment:
        """Freeze the configuration of a run, and assign it to a job of the array."""
        run, runs_per_job = group[number], self.settings.resources.arms_per_job
        first_of_job = number - number % runs_per_job
        content = run.config.as_dict()
        content["runtime"]["beside"] = min(runs_per_job, len(group) - first_of_job) - 1
        config_file = f"{number}.yaml"
        atomic_write_text(submission.folder / config_file, to_yaml(from_dict(content)))
        step = int(run.folder.status().get("step", 0))
        without_progress = previous is not None and previous.step >= step
        attempt = previous.attempt + 1 if previous is not None and without_progress else 0
        return Assignment(run.job, identity, config_file, number // runs_per_job, step, attempt)

    def _submit(
        self, submission: Submission, assignments: Sequence[Assignment], resources: Resources
    ) -> None:
        details = dataclasses.asdict(resources)
        submission.write(self.study, None, assignments, resources=details)
        for assignment in assignments:
            self.owners.set_owner(assignment.identity, submission, assignment.index)
        jobs = assignments[-1].index + 1
        job_id = submit_array(
            submission.folder,
            ARRAY_JOB_MODULE,
            name=submission.array_name(self.study),
            jobs=jobs,
            resources=resources,
            code=self.code,
            array_parallelism=self.settings.array_parallelism,
            signal_seconds=self.settings.signal_seconds,
        )
        submission.set_job_id(job_id)
        self.print_line(f"submitted job array {job_id}: {len(assignments)} runs in {jobs} jobs")
