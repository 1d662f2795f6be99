"""The runs of a sweep as jobs of Slurm: submitted as arrays, then followed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lmlab.build.identity import run_identity
from lmlab.config.compose import from_dict, to_yaml
from lmlab.config.identity_settings import identity_settings
from lmlab.storage.io import atomic_write_text
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.arm_costs import TextsByConfig
from lmlab.sweep.job_outcome import judge
from lmlab.sweep.local_pool import JobResult
from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.job_device import device_of
from lmlab.sweep.slurm.queue import JobState
from lmlab.sweep.slurm.resources import Resources
from lmlab.sweep.slurm.settings import Submitting
from lmlab.sweep.slurm.submission import submit
from lmlab.sweep.submission_records import (
    Assignment,
    Index,
    Submission,
    identity_key,
    note_adoption,
    submissions_in,
)
from lmlab.sweep.task import Task


@dataclasses.dataclass
class _Placed:
    """A run that is in Slurm's hands."""

    submission: Submission
    assignment: Assignment
    missed: int = 0  # questions that did not find its job


class SlurmPool:
    """Submits runs as job arrays, one for each resource request, and follows them.

    Args:
        folder: of the sweep.
        study: its name.
        texts: of the configurations.
        how: jobs are submitted.
        code: the snapshot that they run.
        goes_on: an earlier driver of this very launch may have been here: runs that it saw fail
            stay failed.
        say: prints a line.
    """

    outlives = True
    left = "its job stays with Slurm; the same command follows it again, scancel ends it"

    def __init__(
        self,
        folder: SweepFolder,
        study: str,
        texts: TextsByConfig,
        how: Submitting,
        code: Path,
        say: Callable[[str], None],
        goes_on: bool = False,
    ) -> None:
        self.folder, self.study, self.texts, self.how = folder, study, texts, how
        self.code, self.say, self.goes_on = code, say, goes_on
        self.submitted: list[str] = []
        self._index = Index(folder.path.parents[2])
        self._placed: dict[str, _Placed] = {}
        self._gathered: list[Task] = []
        self._keys: dict[str, str] = {}
        self._attempts: dict[str, tuple[int, int]] = {}  # step and attempt of the last submission
        self._states: dict[tuple[str, int], JobState] = {}
        self._known_at = 0.0
        self._asked: set[str] = set()  # names of job arrays
        self._stuck: set[str] = set()

    def attach(self, task: Task) -> bool:
        """Follow the job that has the run already, of whatever sweep; False where none has."""
        found = self._owner(task)
        if found is None:
            if self.goes_on:
                self._judge_earlier(task)
            return False
        self._take_over(task, found)
        return True

    def has_room(self) -> bool:
        """True: Slurm queues what it cannot run yet."""
        return True

    def start(self, task: Task, jobs: int) -> None:
        """Gather a run for the next :meth:`flush`."""
        del jobs
        task.state, task.started = "submitted", time.monotonic()
        self._gathered.append(task)

    def flush(self) -> None:
        """Submit what was gathered, one array for each resource request.

        Raises:
            ConfigError: Slurm refuses it.
        """
        if not self._gathered:
            return
        gathered, self._gathered = self._gathered, []
        with self._index.lock():
            self._known_at = 0.0  # another launch may have submitted meanwhile
            fresh = []
            for task in gathered:
                found = self._owner(task)
                if found is None:
                    fresh.append(task)
                else:
                    self._take_over(task, found)
            for resources, group in self._by_request(fresh):
                self._submit(resources, group)
            self._known_at = 0.0

    def ended(self, running: Sequence[Task]) -> Iterator[tuple[Task, JobResult]]:
        """The runs whose jobs have ended, for whatever reason."""
        if time.monotonic() - self._known_at < self.how.poll_seconds or not self._placed:
            return
        try:
            self._ask({placed.submission for placed in self._placed.values()})
        except queue.UnreachableError as error:
            self._known_at = time.monotonic()
            self.say(f"Slurm does not answer, asking on: {error}")
            return
        for task in running:
            end = self._look(task)
            if end is not None:
                del self._placed[task.key]
                yield task, end

    def stop(self, running: Sequence[Task], insist: bool) -> None:
        """Nothing: jobs of Slurm go on without this process."""

    def job_ids(self) -> list[str]:
        """The numbers of the arrays that are followed."""
        found = {one.submission.read()["job_id"] for one in self._placed.values()}
        return sorted(str(job_id) for job_id in found if job_id is not None)

    def _key(self, task: Task) -> str:
        if task.key not in self._keys:
            config = task.config
            identity = run_identity(
                identity_settings(config), self.texts.of(config), device_of(config)
            )
            self._keys[task.key] = identity_key(identity)
        return self._keys[task.key]

    def _owner(self, task: Task) -> Submission | None:
        """The submission whose job has the run in hand, if that job is alive."""
        found = self._index.owner(self._key(task))
        if found is None:
            return None
        submission, index = found
        content = submission.read()
        if not content:
            return None
        try:
            self._ask({submission})
            if content["job_id"] is None:  # its launcher was killed; sbatch may have been called
                job_id = queue.job_id_by_name(content["name"])
                if job_id is None:
                    return None
                submission.know_id(job_id)
        except queue.UnreachableError:
            return submission  # better late than twice
        state = self._states.get((content["name"], index))
        return submission if state is not None and state.is_alive else None

    def _take_over(self, task: Task, submission: Submission) -> None:
        """Follow the job of an earlier submission."""
        key = self._key(task)
        assignment = next(run for run in submission.runs() if run.identity == key)
        if not submission.folder.resolve().is_relative_to(self.folder.path.resolve()):
            note_adoption(self.folder, task.job, submission, key)
        self._place(task, submission, assignment, str(submission.read()["job_id"]))

    def _place(
        self, task: Task, submission: Submission, assignment: Assignment, job_id: str
    ) -> None:
        self._placed[task.key] = _Placed(submission, assignment)
        self._attempts[task.key] = (assignment.step, assignment.attempt)
        task.log = submission.log(job_id, assignment.index)
        task.state, task.started = "submitted", time.monotonic()

    def _judge_earlier(self, task: Task) -> None:
        """Take the verdict on a run whose job an earlier driver of this launch saw end."""
        for submission in reversed(list(submissions_in(self.folder))):
            for assignment in submission.runs():
                if assignment.job == task.job:
                    placed = _Placed(submission, assignment)
                    end = self._judge(task, placed, None)
                    self._attempts[task.key] = (assignment.step, assignment.attempt)
                    task.state, task.reason = end.state, end.reason
                    return

    def _by_request(self, tasks: Sequence[Task]) -> Iterator[tuple[Resources, list[Task]]]:
        groups: dict[Resources, list[Task]] = {}
        for task in tasks:
            groups.setdefault(self.how.requests.of(task.job.arm), []).append(task)
        yield from groups.items()

    def _submit(self, resources: Resources, tasks: list[Task]) -> None:
        submission = Submission.create(self.folder)
        each = self.how.requests.arms_per_job
        runs = []
        for number, task in enumerate(tasks):
            first = number - number % each
            content = task.config.as_dict()
            content["runtime"]["beside"] = min(each, len(tasks) - first) - 1
            frozen = f"{number}.yaml"
            atomic_write_text(submission.folder / frozen, to_yaml(from_dict(content)))
            step = int(task.run.status().get("step", 0))
            before = self._attempts.get(task.key)
            attempt = before[1] + 1 if before is not None and before[0] >= step else 0
            runs.append(
                Assignment(task.job, self._key(task), frozen, number // each, step, attempt)
            )
        request = dataclasses.asdict(resources)
        submission.write(self.study, None, runs, resources=request)
        for run in runs:
            self._index.own(run.identity, submission, run.index)
        job_id = submit(
            submission.folder,
            "lmlab.sweep.slurm.array_job",
            name=submission.name_for(self.study),
            jobs=runs[-1].index + 1,
            resources=resources,
            code=self.code,
            array_parallelism=self.how.array_parallelism,
            signal_seconds=self.how.signal_seconds,
        )
        submission.know_id(job_id)
        self.submitted.append(job_id)
        for task, run in zip(tasks, runs, strict=True):
            self._place(task, submission, run, job_id)
        self.say(f"submitted job array {job_id}: {len(tasks)} runs in {runs[-1].index + 1} jobs")

    def _ask(self, submissions: set[Submission]) -> None:
        """Bring what is known of the jobs up to date, not more often than is polite."""
        followed = {placed.submission for placed in self._placed.values()}
        names = {one.read()["name"] for one in submissions | followed}
        if time.monotonic() - self._known_at < self.how.poll_seconds and names <= self._asked:
            return
        self._states = queue.states_by_name(names | self._asked)
        self._asked |= names
        self._known_at = time.monotonic()

    def _look(self, task: Task) -> JobResult | None:
        """Whether and how a followed run's job has ended."""
        placed = self._placed[task.key]
        content = placed.submission.read()
        state = self._states.get((content["name"], placed.assignment.index))
        if state is not None and state.is_alive:
            placed.missed = 0
            task.state = "submitted" if state.state == "PENDING" else "running"
            if state.is_stuck and task.key not in self._stuck:
                self._stuck.add(task.key)
                self.say(f"{task.job.name}: Slurm holds its job: {state.reason}")
            return None
        if state is None:
            placed.missed += 1
            if placed.missed < 2:  # the controller may be starting
                return None
        return self._judge(task, placed, state)

    def _judge(self, task: Task, placed: _Placed, state: JobState | None) -> JobResult:
        end = judge(placed.submission, placed.assignment, task.run, state, self.how.retries)
        if end.state == "queued":
            self.say(f"{task.job.name}: {end.reason}; it is submitted again")
        return end
