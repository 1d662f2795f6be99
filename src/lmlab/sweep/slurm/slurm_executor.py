"""Run the jobs of a sweep under Slurm: submit them as arrays, follow them, resubmit killed ones."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lmlab.build.identity import run_identity
from lmlab.config.identity_settings import identity_settings
from lmlab.console.formatting import format_count
from lmlab.errors import DataError
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.executor import JobResult
from lmlab.sweep.job_outcome import JobEnd, classify_outcome
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.array_submitter import ArraySubmitter
from lmlab.sweep.slurm.commands import UnreachableError
from lmlab.sweep.slurm.job_device import job_device
from lmlab.sweep.slurm.live_owner import find_live_owner
from lmlab.sweep.slurm.queue import JobState
from lmlab.sweep.slurm.queue_watcher import QueueWatcher
from lmlab.sweep.slurm.sbatch import FullQueueError
from lmlab.sweep.slurm.settings import SubmissionSettings
from lmlab.sweep.slurm.slurm_records import job_log, run_owners, submission_records
from lmlab.sweep.submission_records import Assignment, Submission, identity_key

_MAX_MISSED_QUERIES = 2  # the controller may be starting
_POLLS_UNTIL_RETRY = 6  # of a submission that found the queue full


@dataclasses.dataclass
class _FollowedRun:
    """A run whose job this executor follows."""

    submission: Submission
    assignment: Assignment
    missed_queries: int = 0  # queries in a row that did not list its job
    is_reported_stuck: bool = False


class SlurmExecutor:
    """Submits runs as job arrays and follows their jobs; implements ``Executor``.

    Args:
        folder: folder of the sweep.
        study: name of the study.
        data: prepared texts of the configurations.
        settings: how jobs are submitted.
        code: snapshot of the code that the jobs run.
        print_line: prints a message.
        resumes_driver: whether an earlier driver of the same launch may have followed jobs: runs
            that it saw fail stay failed.
        on_full_queue: called when Slurm accepts only some of the runs, before they are submitted.

    Attributes:
        is_delayed: whether runs wait because Slurm did not accept them at the last attempt.
        is_unreachable: whether that was because it did not respond.
    """

    outlives_driver = True
    leave_message = (
        "its job remains in Slurm; rerun the command to follow it, or end it with scancel"
    )

    def __init__(
        self,
        folder: SweepFolder,
        study: str,
        data: RunDataCache,
        settings: SubmissionSettings,
        code: Path,
        print_line: Callable[[str], None],
        resumes_driver: bool = False,
        on_full_queue: Callable[[], object] = lambda: None,
    ) -> None:
        self.folder, self.data, self.settings = folder, data, settings
        self.print_line, self.resumes_driver = print_line, resumes_driver
        self._owners = run_owners(folder.path.parents[2])
        self._submitter = ArraySubmitter(
            folder, study, settings, code, self._owners, print_line, on_full_queue
        )
        self._watcher = QueueWatcher(settings.poll_seconds)
        self._collected: list[ScheduledRun] = []
        self._followed: dict[str, _FollowedRun] = {}
        self._identities: dict[str, str] = {}
        self._last_assignments: dict[str, Assignment] = {}
        self.is_delayed = self.is_unreachable = False
        self._next_submission = 0.0  # by the clock of time.monotonic
        self._last_delay = ""

    def attach(self, run: ScheduledRun) -> bool:
        """Follow the job, of any sweep, that already has the run; return False if none has."""
        submission = self._live_owner(run)
        if submission is None:
            if self.resumes_driver:
                self._restore_result(run)
            return False
        self._adopt(run, submission)
        return True

    def has_capacity(self) -> bool:
        """Return whether Slurm may accept jobs: it queues what it cannot run yet."""
        return time.monotonic() >= self._next_submission

    def start(self, run: ScheduledRun, total_runs: int) -> None:
        """Collect the run for the next :meth:`flush`."""
        run.state, run.started = "submitted", time.monotonic()
        self._collected.append(run)

    def flush(self) -> None:
        """Submit the collected runs, except those that a job has got meanwhile.

        Runs that Slurm does not accept now stay ``queued``: it does not respond, or the user or the
        cluster has as many jobs as a limit allows.

        Raises:
            ConfigError: Slurm refuses the jobs.
        """
        if not self._collected:
            return
        collected, self._collected = self._collected, []
        self.is_delayed = self.is_unreachable = False
        with self._owners.lock():
            self._watcher.expire()  # another launch may have submitted runs meanwhile
            unowned = []
            for run in collected:
                submission = self._live_owner(run)
                if submission is None:
                    unowned.append(run)
                else:
                    self._adopt(run, submission)
            try:
                for run, submission, assignment in self._submitter.submit(
                    unowned, self._identity, self._last_assignments
                ):
                    self._follow(run, submission, assignment)
            except FullQueueError as error:
                self._delay(
                    unowned,
                    f"Slurm accepts no further jobs now ({error})",
                    polls=_POLLS_UNTIL_RETRY,
                )
            except UnreachableError as error:
                self.is_unreachable = True
                self._delay(unowned, f"Slurm is not responding ({error})", polls=1)
            self._watcher.expire()

    def _delay(self, runs: Sequence[ScheduledRun], message: str, polls: int) -> None:
        """Put the runs that were not submitted back, to be submitted later."""
        self.is_delayed = True
        waiting = [run for run in runs if run.key not in self._followed]
        for run in waiting:
            run.state = "queued"
        self._next_submission = time.monotonic() + polls * self.settings.poll_seconds
        if message != self._last_delay:
            self._last_delay = message
            runs_later = format_count(len(waiting), "run")
            self.print_line(f"{message}: {runs_later} will be submitted later")

    def poll(self, active: Sequence[ScheduledRun]) -> Iterator[tuple[ScheduledRun, JobResult]]:
        """Yield the runs whose jobs have ended."""
        if not self._watcher.is_due or not self._followed:
            return
        try:
            self._watcher.refresh(self._followed_names())
        except UnreachableError as error:
            self._watcher.postpone()
            self.print_line(f"Slurm is not responding, retrying: {error}")
            return
        for run in active:
            try:
                result = self._check(run)
            except UnreachableError as error:
                self.print_line(f"Slurm is not responding, retrying: {error}")
                return
            if result is not None:
                del self._followed[run.key]
                yield run, result

    def stop(self, active: Sequence[ScheduledRun], kill: bool) -> None:
        """Do nothing: jobs under Slurm continue without this process."""

    def job_ids(self) -> list[str]:
        """Return the numbers of the followed arrays."""
        found = {submission.submitted()["job_id"] for submission in self._followed_submissions()}
        return sorted(str(job_id) for job_id in found if job_id is not None)

    def _identity(self, run: ScheduledRun) -> str:
        if run.key not in self._identities:
            config = run.config
            identity = run_identity(
                identity_settings(config),
                self.data.get(config),
                job_device(config),
                is_elsewhere=True,
            )
            self._identities[run.key] = identity_key(identity)
        return self._identities[run.key]

    def _followed_names(self) -> set[str]:
        return {submission.submitted()["name"] for submission in self._followed_submissions()}

    def _followed_submissions(self) -> set[Submission]:
        return {followed.submission for followed in self._followed.values()}

    def _live_owner(self, run: ScheduledRun) -> Submission | None:
        identity = self._identity(run)
        return find_live_owner(identity, self._owners, self._watcher, self._followed_names)

    def _adopt(self, run: ScheduledRun, submission: Submission) -> None:
        """Follow the job of an earlier submission, perhaps of another sweep."""
        identity = self._identity(run)
        assignment = next((one for one in submission.runs() if one.identity == identity), None)
        if assignment is None:
            raise DataError(
                f"{submission.folder}/submission.json: the run {run.job.name} is missing",
                f"cancel the jobs that are named {submission.folder.name}, and rerun the command",
            )
        if not submission.folder.resolve().is_relative_to(self.folder.path.resolve()):
            submission_records(self.folder).record_adoption(run.job, submission, identity)
        self._follow(run, submission, assignment)

    def _follow(self, run: ScheduledRun, submission: Submission, assignment: Assignment) -> None:
        self._followed[run.key] = _FollowedRun(submission, assignment)
        self._last_assignments[run.key] = assignment
        run.log = job_log(submission, str(submission.submitted()["job_id"]), assignment.index)
        run.state, run.started = "submitted", time.monotonic()

    def _restore_result(self, run: ScheduledRun) -> None:
        """Apply the result of the last job that an earlier driver of this launch submitted."""
        for submission in reversed(submission_records(self.folder).submissions()):
            for assignment in submission.runs():
                if assignment.job == run.job:
                    self._last_assignments[run.key] = assignment
                    with contextlib.suppress(UnreachableError):  # it stays queued
                        result = self._classify(run, _FollowedRun(submission, assignment), None)
                        run.state, run.reason = result.state, result.reason
                    return

    def _check(self, run: ScheduledRun) -> JobResult | None:
        """Return the result of a followed run; None if its job may still run."""
        followed = self._followed[run.key]
        name = followed.submission.submitted()["name"]
        state = self._watcher.state(name, followed.assignment.index)
        if state is None:
            followed.missed_queries += 1
            if followed.missed_queries < _MAX_MISSED_QUERIES:
                return None
            final = self._final_state(followed)
            if final is not None and final.is_alive:  # squeue does not show it to this user
                return None
        elif state.is_alive:
            followed.missed_queries = 0
            run.state = "submitted" if state.state == "PENDING" else "running"
            if state.is_stuck and not followed.is_reported_stuck:
                followed.is_reported_stuck = True
                self.print_line(
                    f"{run.job.name}: Slurm holds its job: {state.reason or state.state}"
                )
            return None
        return self._classify(run, followed, state)

    @staticmethod
    def _final_state(followed: _FollowedRun) -> JobState | None:
        content = followed.submission.submitted()
        index = followed.assignment.index
        return queue.final_state(content["name"], str(content["job_id"]), index)

    def _classify(
        self, run: ScheduledRun, followed: _FollowedRun, state: JobState | None
    ) -> JobResult:
        submission, assignment = followed.submission, followed.assignment

        def find_job_end() -> JobEnd:
            final = self._final_state(followed) or state
            job = f"{submission.submitted()['job_id']}_{assignment.index}"
            if final is not None and final.state == "CANCELLED":
                return JobEnd(f"job {job} was cancelled", was_cancelled=True)
            return JobEnd(queue.describe_end(job, final))

        retries = self.settings.retries
        result = classify_outcome(submission, assignment, run.folder, find_job_end, retries)
        if result.state == "queued":
            self.print_line(f"{run.job.name}: {result.reason}; resubmitting")
        return result
