"""What becomes of a run whose job has ended before the run was done."""

from __future__ import annotations

from lmlab.errors import LockedError
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.sweep.local_pool import JobResult
from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.queue import JobState
from lmlab.sweep.submission_records import Assignment, Submission
from lmlab.sweep.worker_processes import how_it_ended

_OWN_FAULT = (1, 2)  # exit codes of a run that failed, and of one that was refused
_INTERRUPTED = 130


def judge(
    submission: Submission,
    run: Assignment,
    folder: RunFolder,
    state: JobState | None,
    retries: int,
) -> JobResult:
    """Tell a run's own failure, a person's wish, and bad luck apart.

    Args:
        submission: whose job has ended.
        run: of the submission.
        folder: of the run.
        state: of the job, as the queue last showed it; None where it did not.
        retries: submissions without progress after which bad luck counts as a failure.

    Returns:
        ``queued`` for a run to submit again: killed or lost, and either further than at its
        submission or not tried ``retries`` times since.
    """
    content = submission.read()
    job_id = str(content["job_id"])
    code = submission.end(run.index).get(run.frozen)
    status = folder.status()
    if status.get("status") in FINISHED:
        return JobResult(str(status["status"]))
    if code == LockedError.exit_code:
        return JobResult("elsewhere")
    if code in _OWN_FAULT:
        return JobResult("failed", how_it_ended(code), code)
    if code == _INTERRUPTED:
        return JobResult(
            "interrupted", "its process got an interrupt; the same command goes on", code
        )
    final = queue.final_state(content["name"], job_id, run.index) or state
    job = f"{job_id}_{run.index}"
    if final is not None and final.state == "CANCELLED":
        return JobResult("interrupted", f"job {job} was cancelled; the same command goes on", code)
    told = queue.how_it_ended(job, final)
    if int(status.get("step", 0)) > run.step or run.attempt < retries:
        return JobResult("queued", told)
    return JobResult("failed", f"{told}, {run.attempt + 1} times without getting further", code)
