"""The Slurm jobs of a study's unfinished runs, for ``python -m lmlab.status``; without torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from lmlab.design.job import Job
from lmlab.study.sweep_folder import sweeps_in
from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.commands import UnreachableError
from lmlab.sweep.slurm.slurm_records import job_log, read_driver_job, submission_records
from lmlab.sweep.submission_records import Assignment, Submission

States = Mapping[tuple[str, int], queue.JobState]


@dataclasses.dataclass(frozen=True)
class JobStatus:
    """The job of a run whose own files do not say that it is finished.

    Attributes:
        state: ``queued``, ``running``, ``interrupted`` (the job has ended or is lost), or empty if
            only the run's own files know.
        description: the state in one line.
        log: the output of the job.
    """

    state: str
    description: str
    log: Path


def job_status(study: Path) -> tuple[dict[Job, JobStatus], list[str]]:
    """Return the jobs of the newest sweep of a study, and lines to print about the sweep."""
    sweep = next(sweeps_in(study), None)
    if sweep is None:
        return {}, []
    latest = submission_records(sweep).latest()
    if not latest:
        return {}, []
    driver = read_driver_job(sweep)
    names = {str(submission.submitted()["name"]) for submission, _ in latest.values()}
    try:
        states = queue.states_by_name(names | ({driver["name"]} if driver else set()))
        found = {
            job: _run_status(submission, run, states) for job, (submission, run) in latest.items()
        }
        return found, [_describe_driver(driver, states)] if driver else []
    except UnreachableError:
        unknown = {
            job: JobStatus("", "", job_log(submission, _job_id(submission), run.index))
            for job, (submission, run) in latest.items()
        }
        return unknown, ["cannot reach Slurm from here: showing the state in the run folders"]


def _run_status(submission: Submission, run: Assignment, states: States) -> JobStatus:
    content = submission.submitted()
    job = f"{_job_id(submission)}_{run.index}"
    log = job_log(submission, _job_id(submission), run.index)
    state = states.get((content["name"], run.index))
    if state is not None and state.is_alive:
        is_pending = state.state == "PENDING"
        return JobStatus("queued" if is_pending else "running", _describe_state(state), log)
    if content["job_id"] is None:
        return JobStatus("interrupted", "its job was not submitted; rerun the command", log)
    if submission.exit_codes(run.index):
        return JobStatus("", f"job {job} ended", log)
    final = queue.final_state(content["name"], str(content["job_id"]), run.index)
    description = queue.describe_end(job, final)
    return JobStatus("interrupted", f"{description}; rerun the command to resume", log)


def _job_id(submission: Submission) -> str:
    return str(submission.submitted()["job_id"])


def _describe_state(state: queue.JobState) -> str:
    return state.state + (f" ({state.reason})" if state.reason else "")


def _describe_driver(driver: dict[str, str], states: States) -> str:
    job = f"driver job {driver['job_id']}"
    state = states.get((driver["name"], 0))
    if state is not None and state.is_alive:
        return f"{job}: {_describe_state(state)}"
    final = state or queue.final_state(driver["name"], driver["job_id"], 0)
    if final is not None and final.state == "COMPLETED":
        return f"{job}: complete, the report is written"
    description = f"{final.state} {final.reason}".strip() if final else "lost"
    return f"{job}: {description}; rerun the command to start another"
