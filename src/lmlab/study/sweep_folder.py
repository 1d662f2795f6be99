"""The files of a sweep: what was submitted, and where each of its runs lies.

``outputs/<study>/sweeps/<id>/`` holds ``manifest.json``, ``ledger.jsonl`` (one row a run: arm,
rate, seed, purposes, folder), ``facts.json`` (what the arms cost) and ``jobs/`` (a frozen
configuration and the output of each process).
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.design.manifest import Job, Manifest
from lmlab.errors import DataError
from lmlab.run_folder import RunFolder
from lmlab.storage.io import append_jsonl, make_folder, read_json, read_jsonl, write_json


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a run's process failed, in one line, and what it printed."""

    reason: str
    log: Path


@dataclasses.dataclass(frozen=True)
class Entry:
    """A run that a sweep needs: its purposes, and its folder, which another study may own.

    The run's own files know nothing of a ``failure`` that left it no time to write.
    """

    job: Job
    purposes: tuple[str, ...]
    run: RunFolder
    failure: Failure | None = None


@dataclasses.dataclass(frozen=True)
class SweepFolder:
    """Reads and writes the files of one sweep."""

    path: Path

    @classmethod
    def of(cls, manifest: Manifest, output_root: Path) -> SweepFolder:
        """The folder in which a manifest is carried out."""
        return cls(output_root / manifest.study / "sweeps" / manifest.id)

    @property
    def study(self) -> Path:
        """The folder of the study."""
        return self.path.parent.parent

    @property
    def is_there(self) -> bool:
        """Whether anything was submitted in the folder, rather than kept beside a write-up."""
        return self.path.parent.name == "sweeps" and (self.path / "manifest.json").exists()

    def write_manifest(self, manifest: Manifest) -> None:
        """Keep what was submitted. A repeated submission changes only the time of the file."""
        write_json(self.path / "manifest.json", manifest.as_dict())

    def manifest(self) -> Manifest:
        """What was submitted. Raises :class:`DataError` where it cannot be read."""
        path = self.path / "manifest.json"
        try:
            return Manifest.from_dict(read_json(path))
        except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{path} cannot be read as a manifest: {error}") from error

    def write_facts(self, facts: dict[str, dict[str, Any]]) -> None:
        """Keep what the arms cost and see."""
        write_json(self.path / "facts.json", facts)

    def facts(self) -> dict[str, dict[str, Any]]:
        """What the arms cost and see; empty where it was not written."""
        try:
            facts: dict[str, dict[str, Any]] = read_json(self.path / "facts.json")
        except (FileNotFoundError, ValueError):
            return {}
        return facts

    def job_file(self, job: Job, ending: str) -> Path:
        """The frozen configuration (``yaml``) or output (``log``) of a job."""
        name = job.name.replace("/", "+") + (f"+{job.number}" if job.number else "")
        return make_folder(self.path / "jobs") / f"{name}.{ending}"

    def note(
        self, job: Job, purposes: list[str], run: RunFolder, failure: Failure | None = None
    ) -> None:
        """Append a run to the ledger; the last row of a job counts."""
        row = dataclasses.asdict(job) | {"purposes": purposes, "run": self._place(run.path)}
        if failure is not None:
            row["failure"] = {"reason": failure.reason, "log": self._place(failure.log)}
        append_jsonl(self.path / "ledger.jsonl", row)

    def entries(self) -> list[Entry]:
        """The runs of the ledger, in the order in which they were first needed."""
        found: dict[Job, Entry] = {}
        for row in read_jsonl(self.path / "ledger.jsonl"):
            job = Job(row["arm"], row["lr"], row["seed"], row["number"])
            failed, failure = row.get("failure"), None
            if failed is not None:
                failure = Failure(failed["reason"], self._found(failed["log"]))
            run = RunFolder(self._found(row["run"]))
            found[job] = Entry(job, tuple(row["purposes"]), run, failure)
        return list(found.values())

    def _place(self, path: Path) -> str:
        return os.path.relpath(path.resolve(), self.path.resolve())

    def _found(self, place: str) -> Path:
        return Path(os.path.normpath(self.path / place))


def sweeps_in(study: Path) -> Iterator[SweepFolder]:
    """The sweeps of a study, the one submitted last first."""
    files = sorted(
        study.glob("sweeps/*/manifest.json"),
        key=lambda path: (path.stat().st_mtime_ns, path.parent.name),
        reverse=True,
    )
    for path in files:
        yield SweepFolder(path.parent)
