"""Submit runs as job arrays, one for each resource request, or several where Slurm limits them."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from lmlab.config.compose import from_dict, to_yaml
from lmlab.console.formatting import format_count
from lmlab.storage.io import atomic_write_text
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.slurm.cluster_limits import read_max_array_size
from lmlab.sweep.slurm.resources import Resources
from lmlab.sweep.slurm.sbatch import FullQueueError, submit_array
from lmlab.sweep.slurm.settings import SubmissionSettings
from lmlab.sweep.slurm.slurm_records import submission_records
from lmlab.sweep.submission_records import Assignment, RunOwners, Submission

_Item = TypeVar("_Item")
ARRAY_JOB_MODULE = "lmlab.sweep.slurm.array_job"


@dataclasses.dataclass(frozen=True)
class Part:
    """Jobs of one request that are submitted as one array.

    Attributes:
        jobs: the runs of each job.
        parallelism: jobs that may run at once.
        lane: the arrays of a lane run one after the other.
    """

    jobs: Sequence[Sequence[ScheduledRun]]
    parallelism: int
    lane: int

    def halves(self) -> tuple[Part, Part]:
        """Return two parts of the same lane."""
        middle = (len(self.jobs) + 1) // 2
        return (
            dataclasses.replace(self, jobs=self.jobs[:middle]),
            dataclasses.replace(self, jobs=self.jobs[middle:]),
        )


def divide(
    jobs: Sequence[Sequence[ScheduledRun]], max_array_size: int | None, parallelism: int
) -> list[Part]:
    """Divide jobs into arrays that Slurm accepts and that run ``parallelism`` jobs at once.

    The arrays have equal shares of the jobs and of the parallelism, so that they end together. If
    there are more arrays than jobs may run at once, they form lanes: the arrays of a lane run one
    after the other.
    """
    size = max_array_size or len(jobs)
    lanes = min(-(-len(jobs) // size), parallelism)
    parts = []
    for lane, jobs_of_lane in enumerate(_equal_slices(jobs, lanes)):
        share = parallelism // lanes + (lane < parallelism % lanes)
        for jobs_of_array in _equal_slices(jobs_of_lane, -(-len(jobs_of_lane) // size)):
            parts.append(Part(jobs_of_array, share, lane))
    return parts


def _equal_slices(items: Sequence[_Item], number: int) -> list[Sequence[_Item]]:
    bounds = [len(items) * index // number for index in range(number + 1)]
    return [items[start:end] for start, end in itertools.pairwise(bounds)]


class ArraySubmitter:
    """Writes the record of a submission, makes it the owner of its runs, and calls sbatch.

    Args:
        folder: folder of the sweep.
        study: name of the study.
        settings: how jobs are submitted.
        code: snapshot of the code that the jobs run.
        owners: the submission that owns each run.
        print_line: prints a message.
        on_full_queue: called when Slurm accepts only some of the jobs, before they are submitted.
    """

    def __init__(
        self,
        folder: SweepFolder,
        study: str,
        settings: SubmissionSettings,
        code: Path,
        owners: RunOwners,
        print_line: Callable[[str], None],
        on_full_queue: Callable[[], object] = lambda: None,
    ) -> None:
        self.folder, self.study, self.settings = folder, study, settings
        self.code, self.owners, self.print_line = code, owners, print_line
        self.on_full_queue = on_full_queue
        self._max_array_size: int | None = None
        # The last arrays of requests that the queue had no room for, by request and lane.
        self._waiting_lanes: dict[Resources, dict[int, str]] = {}

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
            FullQueueError: Slurm accepts no further jobs now; runs that were not yielded remain.
            UnreachableError: Slurm does not respond; runs that were not yielded remain.
        """
        by_request: dict[Resources, list[ScheduledRun]] = {}
        for run in runs:
            by_request.setdefault(self.settings.resources.for_arm(run.job.arm), []).append(run)
        size = self.settings.resources.arms_per_job
        for resources, group in by_request.items():
            jobs = [group[first : first + size] for first in range(0, len(group), size)]
            if self._max_array_size is None and len(jobs) > 1:
                self._max_array_size = read_max_array_size()
            parts = deque(divide(jobs, self._max_array_size, self.settings.array_parallelism))
            yield from self._submit_parts(parts, resources, identity_of, previous)

    def _submit_parts(
        self,
        parts: deque[Part],
        resources: Resources,
        identity_of: Callable[[ScheduledRun], str],
        previous: Mapping[str, Assignment],
    ) -> Iterator[tuple[ScheduledRun, Submission, Assignment]]:
        """Submit arrays; while the queue has no room for one, submit its first half."""
        last_ids = self._waiting_lanes.pop(resources, {})  # the last array of each lane
        while parts:
            part = parts.popleft()
            submission = submission_records(self.folder).create()
            runs = [(run, index) for index, job in enumerate(part.jobs) for run in job]
            assignments = [
                self._assign(
                    submission, number, run, index, len(part.jobs[index]),
                    identity_of(run), previous.get(run.key),
                )
                for number, (run, index) in enumerate(runs)
            ]  # fmt: skip
            after = [last_ids[part.lane]] if part.lane in last_ids else []
            try:
                job_id = self._submit(submission, assignments, resources, part, after)
            except FullQueueError:
                shutil.rmtree(submission.folder)
                if len(part.jobs) == 1:
                    self._waiting_lanes[resources] = last_ids
                    raise
                self.on_full_queue()
                parts.extendleft(reversed(part.halves()))
                continue
            last_ids[part.lane] = job_id
            for (run, _), assignment in zip(runs, assignments, strict=True):
                yield run, submission, assignment

    def _assign(
        self,
        submission: Submission,
        number: int,
        run: ScheduledRun,
        index: int,
        runs_of_job: int,
        identity: str,
        previous: Assignment | None,
    ) -> Assignment:
        """Freeze the configuration of a run, and assign it to a job of the array."""
        content = run.config.as_dict()
        content["runtime"]["beside"] = runs_of_job - 1
        config_file = f"{number}.yaml"
        atomic_write_text(submission.folder / config_file, to_yaml(from_dict(content)))
        step = int(run.folder.status().get("step", 0))
        without_progress = previous is not None and previous.step >= step
        attempt = previous.attempt + 1 if previous is not None and without_progress else 0
        return Assignment(run.job, identity, config_file, index, step, attempt)

    def _submit(
        self,
        submission: Submission,
        assignments: Sequence[Assignment],
        resources: Resources,
        part: Part,
        after: Sequence[str],
    ) -> str:
        details = dataclasses.asdict(resources)
        submission.write(self.study, None, assignments, resources=details)
        for assignment in assignments:
            self.owners.set_owner(assignment.identity, submission, assignment.index)
        jobs = len(part.jobs)
        job_id = submit_array(
            submission.folder,
            ARRAY_JOB_MODULE,
            name=submission.array_name(self.study),
            jobs=jobs,
            resources=resources,
            code=self.code,
            array_parallelism=part.parallelism,
            signal_seconds=self.settings.signal_seconds,
            after=after,
        )
        submission.set_job_id(job_id)
        self.print_line(
            f"submitted job array {job_id}: {format_count(len(assignments), 'run')} in "
            f"{format_count(jobs, 'job')}"
        )
        return job_id
