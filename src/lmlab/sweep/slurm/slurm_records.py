"""Where the Slurm launcher keeps its records; imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmlab.storage.fields import read_fields
from lmlab.storage.record_fields import DRIVER_JOB
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.submission_records import RunOwners, Submission, SubmissionRecords

LAUNCHER = "slurm"
# submitit's name for the output of an array's job; several ranks write to that of the first.
RANKS_LOG_PATTERN = "%A_%a_0_log.out"


def submission_records(sweep: SweepFolder) -> SubmissionRecords:
    """Return the records of a sweep's submissions to Slurm."""
    return SubmissionRecords(sweep, LAUNCHER)


def run_owners(output_root: Path) -> RunOwners:
    """Return the owners of the runs that were submitted to Slurm."""
    return RunOwners(output_root, LAUNCHER)


def job_log(submission: Submission, job_id: str, index: int) -> Path:
    """Return the file with the output of a job."""
    return submission.folder / f"{job_id}_{index}_0_log.out"


def driver_folder(sweep: SweepFolder) -> Path:
    """Return the folder of the job that drives a detached sweep."""
    return sweep.path / LAUNCHER / "driver"


def read_driver_job(sweep: SweepFolder) -> dict[str, Any] | None:
    """Return name and ``job_id`` of the job that drives a detached sweep; None if none was."""
    path = driver_folder(sweep) / "driver.json"
    content = read_fields(path, DRIVER_JOB, tuple(DRIVER_JOB))
    return content if DRIVER_JOB.keys() <= content.keys() else None
