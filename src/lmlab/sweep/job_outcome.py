"""Classify how the job of a run ended: finished, own failure, cancelled, or killed.

Independent of the cluster: the launcher describes how its job ended as a :class:`JobEnd`.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable

from lmlab.console.formatting import format_count
from lmlab.errors import LockedError
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.sweep.executor import JobResult
from lmlab.sweep.submission_records import Assignment, Submission
from lmlab.sweep.worker_processes import describe_exit

_FAILED_EXIT_CODES = (1, 2)  # the run raised an error; the run was refused
_INTERRUPTED_EXIT_CODE = 128 + signal.SIGINT


@dataclasses.dataclass(frozen=True)
class JobEnd:
    """How a job ended according to its cluster.

    Attributes:
        description: one line with the number of the job.
        was_cancelled: whether a person cancelled it.
    """

    description: str
    was_cancelled: bool = False


def classify_outcome(
    submission: Submission,
    assignment: Assignment,
    folder: RunFolder,
    find_job_end: Callable[[], JobEnd],
    retries: int,
) -> JobResult:
    """Classify the outcome of a run whose job has ended.

    Args:
        submission: submission of the job.
        assignment: the run in it.
        folder: folder of the run.
        find_job_end: asks the cluster; called only if the run and its job left no answer.
        retries: submissions without progress after which a killed run counts as failed.

    Returns:
        A result with state ``queued`` for a run to submit again: its job was killed or lost, and it
        has made progress since its submission or was submitted fewer than ``retries`` times
        without.
    """
    code = submission.exit_codes(assignment.index).get(assignment.frozen)
    status = folder.status()
    if status.get("status") in FINISHED:
        return JobResult(str(status["status"]))
    if code == LockedError.exit_code:
        return JobResult("elsewhere")
    if code in _FAILED_EXIT_CODES:
        return JobResult("failed", describe_exit(code), code)
    if code == _INTERRUPTED_EXIT_CODE:
        reason = "its process was interrupted; rerun the command to resume"
        return JobResult("interrupted", reason, code)
    end = find_job_end()
    if end.was_cancelled:
        return JobResult("interrupted", f"{end.description}; rerun the command to resume", code)
    has_progress = int(status.get("step", 0)) > assignment.step
    if has_progress or assignment.attempt < retries:
        return JobResult("queued", end.description)
    attempts = assignment.attempt + 1
    return JobResult(
        "failed", f"{end.description}, {format_count(attempts, 'time')} without progress", code
    )
