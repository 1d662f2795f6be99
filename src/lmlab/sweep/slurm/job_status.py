"""Where Slurm has the runs of a study: asked by ``python -m lmlab.status``, without torch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.design.manifest import Job
from lmlab.storage.io import read_json
from lmlab.study.sweep_folder import SweepFolder, sweeps_in
from lmlab.sweep.slurm import queue
from lmlab.sweep.submission_records import Assignment, Submission, adopted_by, submissions_in


@dataclasses.dataclass(frozen=True)
class JobStatus:
    """Where Slurm has a run whose own files do not call it finished.

    Attributes:
        state: ``queued``, ``running``, ``interrupted`` (its job has ended or is lost), or empty
            where only the run's own files tell.
        told: in words.
        log: what its job prints.
    """

    state: str
    told: str
    log: Path


def job_status(study: Path) -> tuple[dict[Job, JobStatus], list[str]]:
    """The runs of the newest sweep of a study, and lines for a person about the sweep."""
    sweep = next(sweeps_in(study), None)
    latest: dict[Job, tuple[Submission, Assignment]] = {}
    if sweep is not None:
        for job, submission, run in adopted_by(sweep):
            latest[job] = (submission, run)
        for submission in submissions_in(sweep):
            for run in submission.runs():
                latest[run.job] = (submission, run)
    if sweep is None or not latest:
        return {}, []
    driver = _driver_of(sweep)
    names = {str(submission.read()["name"]) for submission, _ in latest.values()}
    try:
        states = queue.states_by_name(names | ({driver["name"]} if driver else set()))
    except queue.UnreachableError:
        found = {
            job: JobStatus("", "", submission.log(_id(submission), run.index))
            for job, (submission, run) in latest.items()
        }
        return found, ["Slurm does not answer from here: only the runs' own files are shown"]
    found = {job: _of(submission, run, states) for job, (submission, run) in latest.items()}
    return found, [_told_driver(driver, states)] if driver else []


def _of(
    submission: Submission, run: Assignment, states: dict[tuple[str, int], queue.JobState]
) -> JobStatus:
    content = submission.read()
    job = f"{_id(submission)}_{run.index}"
    log = submission.log(_id(submission), run.index)
    state = states.get((content["name"], run.index))
    if state is not None and state.is_alive:
        waits = state.state == "PENDING"
        told = state.state + (f" ({state.reason})" if state.reason else "")
        return JobStatus("queued" if waits else "running", told, log)
    if content["job_id"] is None:
        return JobStatus("interrupted", "its job was not submitted; the same command is", log)
    if submission.end(run.index):
        return JobStatus("", f"job {job} ended", log)
    final = queue.final_state(content["name"], str(content["job_id"]), run.index)
    told = queue.how_it_ended(job, final)
    return JobStatus("interrupted", f"{told}; the same command goes on", log)


def _id(submission: Submission) -> str:
    return str(submission.read()["job_id"])


def _driver_of(sweep: SweepFolder) -> dict[str, str] | None:
    try:
        content: dict[str, str] = read_json(sweep.path / "slurm" / "driver" / "driver.json")
    except (OSError, ValueError):
        return None
    return content


def _told_driver(driver: dict[str, str], states: dict[tuple[str, int], queue.JobState]) -> str:
    state = states.get((driver["name"], 0))
    if state is not None and state.is_alive:
        reason = f" ({state.reason})" if state.reason else ""
        return f"its driver is job {driver['job_id']}: {state.state}{reason}"
    final = state or queue.final_state(driver["name"], driver["job_id"], 0)
    if final is not None and final.state == "COMPLETED":
        return f"its driver was job {driver['job_id']}: it has ended, all is reported"
    told = f"{final.state} {final.reason}".strip() if final else "lost"
    return f"its driver was job {driver['job_id']}: {told}; the same command starts another"
