"""What was submitted: a folder a job array, and an index of runs that wait or are running.

``outputs/<study>/sweeps/<id>/slurm/<token>/`` holds ``submission.json`` (name and number of the
array, its resources, and the runs of each of its jobs), a frozen configuration a run, the jobs'
output, and ``end-<index>.json``, written by a job that reaches its end. It is written before
sbatch is called, and the job's name holds the token, so that a launcher that is killed at any
moment loses no job. ``cache/slurm/<identity>.json`` names the submission that owns a run; a job
whose run belongs to another submission leaves it alone.
"""

from __future__ import annotations

import dataclasses
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lmlab.design.manifest import Job
from lmlab.storage.io import append_jsonl, hash_json, make_folder, read_json, read_jsonl, write_json
from lmlab.storage.lock import Lock
from lmlab.study.sweep_folder import SweepFolder


@dataclasses.dataclass(frozen=True)
class Assignment:
    """A run in a submission.

    Attributes:
        job: which run of the sweep.
        identity: hash of the run's identity.
        frozen: name of its configuration's file in the submission's folder.
        index: of the array's job that runs it.
        step: how far the run was at submission.
        attempt: how often it was submitted before without getting further.
    """

    job: Job
    identity: str
    frozen: str
    index: int
    step: int = 0
    attempt: int = 0


@dataclasses.dataclass(frozen=True)
class Submission:
    """A job array's folder; reading fails on none that is not whole."""

    folder: Path

    @classmethod
    def create(cls, sweep: SweepFolder) -> Submission:
        """A new folder with a new token."""
        return cls(make_folder(sweep.path / "slurm" / uuid.uuid4().hex[:10]))

    def write(
        self, study: str, job_id: str | None, runs: Sequence[Assignment], **details: Any
    ) -> None:
        """Keep what is submitted; once before the call of sbatch, and once with its number."""
        write_json(
            self.folder / "submission.json",
            {
                "name": self.name_for(study),
                "job_id": job_id,
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "output_root": str(self.output_root),
                "runs": [dataclasses.asdict(run) for run in runs],
                **details,
            },
        )

    def name_for(self, study: str) -> str:
        """The name of the array's jobs: study and token."""
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', study)}-{self.folder.name}"

    @property
    def output_root(self) -> Path:
        """The folder of all studies."""
        return self.folder.parents[4]

    def read(self) -> dict[str, Any]:
        """What was written; empty where nothing was."""
        try:
            content: dict[str, Any] = read_json(self.folder / "submission.json")
        except (OSError, ValueError):
            return {}
        return content

    def runs(self) -> list[Assignment]:
        """The runs in it."""
        return [
            Assignment(**{**row, "job": Job(**row["job"])}) for row in self.read().get("runs", [])
        ]

    def know_id(self, job_id: str) -> None:
        """Write the array's number, once it is known."""
        write_json(self.folder / "submission.json", self.read() | {"job_id": job_id})

    def log(self, job_id: str, index: int) -> Path:
        """What the job of ``index`` prints."""
        return self.folder / f"{job_id}_{index}_0_log.out"

    def write_end(self, index: int, codes: dict[str, int]) -> None:
        """Say how the runs of a job ended, by frozen configuration."""
        write_json(self.folder / f"end-{index}.json", codes)

    def end(self, index: int) -> dict[str, int]:
        """Exit codes by frozen configuration; empty where the job did not reach its end."""
        try:
            codes: dict[str, int] = read_json(self.folder / f"end-{index}.json")
        except (OSError, ValueError):
            return {}
        return codes


def submissions_in(sweep: SweepFolder) -> Iterator[Submission]:
    """The submissions of a sweep, oldest first."""
    found = [Submission(path.parent) for path in sweep.path.glob("slurm/*/submission.json")]
    # Within a second, the finer time of the folder's making tells.
    yield from sorted(found, key=lambda one: (one.read()["time"], one.folder.stat().st_ctime_ns))


def note_adoption(sweep: SweepFolder, job: Job, submission: Submission, identity: str) -> None:
    """Remember that another sweep's submission has a run that this one needs."""
    row = {"job": dataclasses.asdict(job), "submission": str(submission.folder.resolve())}
    make_folder(sweep.path / "slurm")
    append_jsonl(sweep.path / "slurm" / "adopted.jsonl", row | {"identity": identity})


def adopted_by(sweep: SweepFolder) -> Iterator[tuple[Job, Submission, Assignment]]:
    """Runs of a sweep that submissions of others have."""
    for row in read_jsonl(sweep.path / "slurm" / "adopted.jsonl"):
        submission = Submission(Path(row["submission"]))
        for run in submission.runs():
            if run.identity == row["identity"]:
                yield Job(**row["job"]), submission, run


class Index:
    """Which submission owns which run, for all sweeps below an output folder."""

    def __init__(self, output_root: Path) -> None:
        self.folder = output_root / "cache" / "slurm"

    def lock(self) -> Lock:
        """Between looking for a run's owner and submitting it, one at a time."""
        return Lock(make_folder(self.folder) / "submit.lock")

    def own(self, identity: str, submission: Submission, index: int) -> None:
        """Let a submission own a run."""
        write_json(
            self.folder / f"{identity}.json",
            {"submission": str(submission.folder.resolve()), "index": index},
        )

    def owner(self, identity: str) -> tuple[Submission, int] | None:
        """The submission that owns a run, and the index of its job there."""
        try:
            content = read_json(self.folder / f"{identity}.json")
        except (OSError, ValueError):
            return None
        return Submission(Path(content["submission"])), int(content["index"])


def identity_key(identity: dict[str, Any]) -> str:
    """A run's identity as a file's name."""
    return hash_json(identity)[:32]
