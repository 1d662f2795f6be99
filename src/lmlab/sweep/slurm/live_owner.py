"""Find the job that already has a run, so that no run is submitted twice."""

from __future__ import annotations

from collections.abc import Callable, Collection

from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.commands import UnreachableError
from lmlab.sweep.slurm.queue_watcher import QueueWatcher
from lmlab.sweep.submission_records import RunOwners, Submission


def find_live_owner(
    identity: str,
    owners: RunOwners,
    watcher: QueueWatcher,
    followed_names: Callable[[], Collection[str]],
) -> Submission | None:
    """Return the submission, of any sweep, whose job has a run and may still run it.

    Args:
        identity: key of the run's identity.
        owners: the submission that owns each run.
        watcher: states of the jobs.
        followed_names: returns names of further job arrays to query at the same time.

    Returns:
        None if no job has the run. If Slurm does not respond, the last known owner: submitting
        later is better than submitting twice.
    """
    owner = owners.owner(identity)
    if owner is None:
        return None
    submission, index = owner
    content = submission.read()
    if not content:
        return None
    try:
        watcher.refresh({content["name"], *followed_names()})
        if content["job_id"] is None:  # its launcher was killed, before or after calling sbatch
            job_id = queue.job_id_by_name(content["name"])
            if job_id is None:
                return None
            submission.set_job_id(job_id)
    except UnreachableError:
        return submission
    state = watcher.state(content["name"], index)
    return submission if state is not None and state.is_alive else None
