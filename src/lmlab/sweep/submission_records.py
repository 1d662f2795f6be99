"""Records of job arrays submitted to a cluster, and of the submission that owns each run.

A launcher for a cluster keeps its records in folders of its name, here ``<launcher>``.

``outputs/<study>/sweeps/<id>/<launcher>/<token>/`` belongs to one job array. It holds
``submission.json`` (name and number of the array, its resources, and the runs of each job), the
frozen configuration of each run, the output of the jobs, and ``end-<index>.json``, which a job
writes when it ends by itself. The record is written before the array is submitted, and the name of
the array contains the token, so a launcher that is killed at any moment loses no job.

``outputs/cache/<launcher>/<identity>.json`` names the submission that owns a run. A job whose run
belongs to another submission does not train it.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.design.job import Job
from lmlab.errors import DataError
from lmlab.run_folder import utc_now
from lmlab.storage.fields import (
    read_fields,
    rows_with_fields,
    warn_once,
    wrong_field,
)
from lmlab.storage.io import (
    append_jsonl,
    has_partial_line,
    hash_json,
    make_folder,
    scan_jsonl,
    write_json,
)
from lmlab.storage.lock import Lock
from lmlab.storage.path_below import is_in_outputs
from lmlab.storage.record_fields import ADOPTION, ASSIGNMENT, JOB, OWNER, SUBMISSION
from lmlab.study.sweep_folder import SweepFolder

_REQUIRED = ("name", "job_id", "time", "runs")
_REQUIRED_OF_JOB = ("job.arm", "job.lr", "job.seed")
_REQUIRED_OF_RUN = (*_REQUIRED_OF_JOB, "identity", "frozen", "index")
_REQUIRED_OF_ADOPTION = (*_REQUIRED_OF_JOB, "submission", "identity")
_OF_RUN = ("identity", "frozen", "index", "step", "attempt")


@dataclasses.dataclass(frozen=True)
class Assignment:
    """A run and the job of an array that trains it.

    Attributes:
        job: the run in the manifest.
        identity: hash of the run's identity.
        frozen: file name of its frozen configuration in the folder of the submission.
        index: index of the job in the array.
        step: step of the run at submission.
        attempt: number of earlier submissions without progress.
    """

    job: Job
    identity: str
    frozen: str
    index: int
    step: int = 0
    attempt: int = 0


@dataclasses.dataclass(frozen=True)
class Submission:
    """The folder of a job array. Reading returns empty results for missing or damaged files."""

    folder: Path

    @property
    def output_root(self) -> Path:
        """The folder of all studies."""
        return self.folder.parents[4]

    def write(
        self, study: str, job_id: str | None, runs: Sequence[Assignment], **details: Any
    ) -> None:
        """Write the record, before the array is submitted and its number is known."""
        write_json(
            self._record,
            {
                "name": self.array_name(study),
                "job_id": job_id,
                "time": utc_now(),
                "output_root": str(self.output_root),
                "runs": [dataclasses.asdict(run) for run in runs],
                **details,
            },
        )

    def array_name(self, study: str) -> str:
        """Return the name of the array's jobs: study and token."""
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', study)}-{self.folder.name}"

    def read(self) -> dict[str, Any]:
        """Return the record; empty if it is missing or damaged, which a warning says."""
        content = read_fields(self._record, expected=_REQUIRED)
        wrong = wrong_field(content, SUBMISSION, _REQUIRED) if content else None
        if wrong is not None:
            warn_once(f"{self._record}: {wrong}; the submission counts as missing")
            return {}
        return content

    def submitted(self) -> dict[str, Any]:
        """Return the record of an array that is known to be submitted.

        Raises:
            DataError: it is missing or damaged.
        """
        content = self.read()
        if not content:
            raise DataError(
                f"{self._record}: missing or damaged",
                f"cancel the jobs that are named {self.folder.name}, and rerun the command",
            )
        return content

    def runs(self) -> list[Assignment]:
        """Return the runs of the array."""
        rows = self.read().get("runs", [])
        valid = rows_with_fields(self._record, rows, ASSIGNMENT, _REQUIRED_OF_RUN)
        return [
            Assignment(_job(row), **{key: row[key] for key in _OF_RUN if key in row})
            for row in valid
        ]

    @property
    def _record(self) -> Path:
        return self.folder / "submission.json"

    def set_job_id(self, job_id: str) -> None:
        """Add the number of the array to the record."""
        write_json(self._record, self.read() | {"job_id": job_id})

    def write_exit_codes(self, index: int, codes: dict[str, int]) -> None:
        """Record how the runs of a job ended, by configuration file."""
        write_json(self._exit_code_file(index), codes)

    def exit_codes(self, index: int) -> dict[str, int]:
        """Return exit codes by configuration file; empty if the job did not end by itself."""
        path = self._exit_code_file(index)
        codes = read_fields(path)
        wrong = sorted(
            name for name, code in codes.items() if type(code) is not int or code not in range(256)
        )
        if wrong:
            warn_once(f"{path}: {wrong[0]}: expected an exit code; the file counts as missing")
        return {} if wrong else codes

    def remove_exit_codes(self, index: int) -> None:
        """Remove the exit codes of an earlier session of a job."""
        self._exit_code_file(index).unlink(missing_ok=True)

    def _exit_code_file(self, index: int) -> Path:
        return self.folder / f"end-{index}.json"


@dataclasses.dataclass(frozen=True)
class SubmissionRecords:
    """The submissions of a sweep through one launcher.

    Attributes:
        sweep: folder of the sweep.
        launcher: name of the launcher.
    """

    sweep: SweepFolder
    launcher: str

    @property
    def folder(self) -> Path:
        """The folder of all submissions of the sweep."""
        return self.sweep.path / self.launcher

    def create(self) -> Submission:
        """Create the folder of a submission, with a new token."""
        return Submission(make_folder(self.folder / uuid.uuid4().hex[:10]))

    def submissions(self) -> list[Submission]:
        """Return the submissions, oldest first."""
        found = [Submission(path.parent) for path in self.folder.glob("*/submission.json")]
        times = {one: content["time"] for one in found if (content := one.read())}
        # The time in the record has seconds; that of the folder orders submissions within one.
        return sorted(times, key=lambda one: (times[one], one.folder.stat().st_ctime_ns))

    def record_adoption(self, job: Job, submission: Submission, identity: str) -> None:
        """Record that the submission of another sweep trains a run of this one."""
        row = {"job": dataclasses.asdict(job), "submission": str(submission.folder.resolve())}
        make_folder(self.folder)
        append_jsonl(self.folder / "adopted.jsonl", row | {"identity": identity})

    def adopted(self) -> Iterator[tuple[Job, Submission, Assignment]]:
        """Yield the runs of this sweep that submissions of other sweeps train."""
        path = self.folder / "adopted.jsonl"
        rows, num_damaged = scan_jsonl(path)
        num_damaged += has_partial_line(path)  # rows are written whole
        if num_damaged:
            warn_once(f"{path}: {num_damaged} of its rows cannot be read and count as missing")
        for row in rows_with_fields(path, rows, ADOPTION, _REQUIRED_OF_ADOPTION):
            submission = _submission(path, row["submission"], self.sweep.path.parents[2])
            if submission is None:
                continue
            for run in submission.runs():
                if run.identity == row["identity"]:
                    yield _job(row), submission, run

    def latest(self) -> dict[Job, tuple[Submission, Assignment]]:
        """Return the last submission of each run, preferring those of this sweep."""
        found = {job: (submission, run) for job, submission, run in self.adopted()}
        for submission in self.submissions():
            found |= {run.job: (submission, run) for run in submission.runs()}
        return found


class RunOwners:
    """The submission that owns each run, for all sweeps below an output folder.

    Args:
        output_root: the folder of all studies.
        launcher: name of the launcher.
    """

    def __init__(self, output_root: Path, launcher: str) -> None:
        self.folder = output_root / "cache" / launcher

    def lock(self) -> Lock:
        """Return the lock to hold from reading the owners of runs until submitting the runs."""
        return Lock(make_folder(self.folder) / "submit.lock", protects=self.folder)

    def set_owner(self, identity: str, submission: Submission, index: int) -> None:
        """Make a job of a submission the owner of a run."""
        write_json(
            self.folder / f"{identity}.json",
            {"submission": str(submission.folder.resolve()), "index": index},
        )

    def owner(self, identity: str) -> tuple[Submission, int] | None:
        """Return the submission that owns a run, and the index of its job; None if unowned."""
        path = self.folder / f"{identity}.json"
        content = read_fields(path, OWNER, tuple(OWNER))
        if not OWNER.keys() <= content.keys():
            return None
        submission = _submission(path, content["submission"], self.folder.parents[1])
        return None if submission is None else (submission, content["index"])


def _submission(source: Path, folder: str, output_root: Path) -> Submission | None:
    """Return the submission that a record names; None if it is outside the output folder."""
    if is_in_outputs(Path(folder), output_root):
        return Submission(Path(folder))
    warn_once(f"{source}: submission={folder[:200]!r}: leads out of {output_root}; it is ignored")
    return None


def _job(row: Mapping[str, Any]) -> Job:
    return Job(**{key: value for key, value in row["job"].items() if key in JOB})


def identity_key(identity: dict[str, Any]) -> str:
    """Return a run's identity as a file name."""
    return hash_json(identity)[:32]
