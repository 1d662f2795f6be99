"""The files of a sweep: what was submitted, and the folder of each of its runs.

``outputs/<study>/sweeps/<id>/`` holds ``manifest.json``, ``ledger.jsonl`` (one row per run: arm,
rate, seed, purposes, folder), ``facts.json`` (the cost of each arm) and ``jobs/`` (the frozen
configuration and the output of each process).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.errors import DataError, UserError
from lmlab.run_folder import RunFolder, utc_now
from lmlab.storage.fields import check_fields, warn_once, wrong_field
from lmlab.storage.io import (
    append_jsonl,
    has_partial_line,
    make_folder,
    read_json,
    scan_jsonl,
    write_json,
)
from lmlab.storage.litter import remove_litter
from lmlab.storage.path_below import is_in_outputs
from lmlab.storage.record_fields import ARM_COSTS, LEDGER_ROW, MANIFEST, REQUIRED_COSTS


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why the process of a run failed.

    Attributes:
        reason: the reason in one line.
        log: file with the output of the process.
    """

    reason: str
    log: Path


@dataclasses.dataclass(frozen=True)
class LedgerEntry:
    """One run that a sweep needs.

    Attributes:
        job: arm, rate and seed.
        purposes: what the sweep needs the run for.
        run: its folder, which may belong to another study.
        failure: why its process failed; the run folder may not record it.
    """

    job: Job
    purposes: tuple[str, ...]
    run: RunFolder
    failure: Failure | None = None


@dataclasses.dataclass(frozen=True)
class SweepFolder:
    """Reads and writes the files of one sweep.

    Attributes:
        path: ``outputs/<study>/sweeps/<id>``.
    """

    path: Path

    @classmethod
    def of(cls, manifest: Manifest, output_root: Path) -> SweepFolder:
        """Return the folder of a manifest's sweep below ``output_root``."""
        return cls(output_root / manifest.study / "sweeps" / manifest.id)

    @property
    def study_folder(self) -> Path:
        """Folder of the study."""
        return self.path.parent.parent

    @property
    def exists(self) -> bool:
        """Whether a sweep was submitted in this folder. False for records beside a write-up."""
        return self.path.parent.name == "sweeps" and (self.path / "manifest.json").exists()

    def write_manifest(self, manifest: Manifest) -> None:
        """Write what was submitted; submitting it again makes it the newest sweep of its study."""
        others = [one._submission() for one in _sweeps(self.study_folder) if one.path != self.path]
        number = max([self._submission(), *(other + 1 for other in others)])
        submitted = {"number": max(1, number), "time": utc_now()}
        write_json(self.path / "manifest.json", manifest.as_dict() | {"submitted": submitted})

    def _submission(self) -> int:
        """Return the number of the last submission in its study; 0 for an earlier version's."""
        try:
            number = read_json(self.path / "manifest.json")["submitted"]["number"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return number if isinstance(number, int) else 0

    def _last_time(self) -> str:
        """Return when a run of the sweep was last written, by the records of its runs."""
        return max((str(one.run.status().get("time", "")) for one in self.entries()), default="")

    def manifest(self) -> Manifest:
        """Read what was submitted. Raises :class:`DataError` if the file is missing or invalid."""
        path = self.path / "manifest.json"
        try:
            content = read_json(path)
            if wrong := wrong_field(content, MANIFEST):
                raise ValueError(wrong)
            return Manifest.from_dict(content)
        except UserError as error:
            message = error.message.removeprefix("manifest: ")
            raise DataError(f"{path}: invalid manifest: {message}", error.help) from error
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            raise DataError(f"{path}: invalid manifest: {error}", "rerun the study") from error

    def write_arm_costs(self, arm_costs: dict[str, dict[str, Any]]) -> None:
        """Write cost and data of each arm."""
        write_json(self.path / "facts.json", arm_costs)

    def arm_costs(self, manifest: Manifest | None = None) -> dict[str, dict[str, Any]]:
        """Read cost and data of each arm; empty if they were not written or are damaged.

        Args:
            manifest: whose arms must be there, with valid fields; None: not checked.
        """
        path = self.path / "facts.json"
        try:
            return checked_costs(path, read_json(path), manifest)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            warn_once(f"{path}: cannot be read ({error}); it counts as missing")
            return {}
        except DataError as error:
            warn_once(f"{error.message}; the costs of all arms count as missing")
            return {}

    def job_file(self, job: Job, suffix: str) -> Path:
        """Return the path of a job's frozen configuration (``yaml``) or output (``log``)."""
        name = job.name.replace("/", "+") + (f"+{job.number}" if job.number else "")
        return make_folder(self.path / "jobs") / f"{name}.{suffix}"

    def remove_litter(self) -> None:
        """Remove temporary files of launches that were killed; those of live ones stay."""
        remove_litter(self.study_folder, self.path, self.path / "jobs")

    def add_entry(
        self, job: Job, purposes: list[str], run: RunFolder, failure: Failure | None = None
    ) -> None:
        """Append a run to the ledger; the last row of a job replaces earlier ones."""
        row = dataclasses.asdict(job) | {"purposes": purposes, "run": self._relative(run.path)}
        if failure is not None:
            row["failure"] = {"reason": failure.reason, "log": self._relative(failure.log)}
        append_jsonl(self.path / "ledger.jsonl", row)

    def entries(self) -> list[LedgerEntry]:
        """Read the runs of the ledger, in the order in which they were first needed."""
        return self.scan_entries()[0]

    def scan_entries(self) -> tuple[list[LedgerEntry], int]:
        """Return :meth:`entries`, and the number of rows of the ledger that cannot be read."""
        entries: dict[Job, LedgerEntry] = {}
        path = self.path / "ledger.jsonl"
        rows, num_damaged = scan_jsonl(path)
        num_damaged += has_partial_line(path)  # rows are written whole
        if num_damaged:
            warn_once(f"{path}: {num_damaged} of its rows cannot be read and count as missing")
        for row in rows:
            try:
                entry = self._entry(row)
                entries[entry.job] = entry
            except DataError as error:
                warn_once(f"{error.message}; the row counts as missing")
                num_damaged += 1
        return list(entries.values()), num_damaged

    def _entry(self, row: dict[str, Any]) -> LedgerEntry:
        required = ("arm", "lr", "seed", "number", "purposes", "run")
        check_fields(self.path / "ledger.jsonl", row, LEDGER_ROW, required)
        job = Job(row["arm"], row["lr"], row["seed"], row["number"])
        failed, failure = row.get("failure"), None
        if failed is not None:
            failure = Failure(failed.get("reason", ""), self._absolute(failed.get("log", "")))
        run = self._absolute(row["run"])
        if self.path.resolve().is_relative_to(run.resolve()):
            raise DataError(
                f"{self.path / 'ledger.jsonl'}: run={row['run']}: expected the folder of a run"
            )
        return LedgerEntry(job, tuple(row["purposes"]), RunFolder(run), failure)

    def _relative(self, path: Path) -> str:
        return os.path.relpath(path.resolve(), self.path.resolve())

    def _absolute(self, path: str) -> Path:
        """Return a path of the ledger, which may lead to another study of the same output root.

        Raises:
            DataError: it leads out of the output root.
        """
        root = Path(os.path.abspath(self.path)).parents[2]
        if not is_in_outputs(self.path / path, root):
            raise DataError(f"{self.path / 'ledger.jsonl'}: {path}: leads out of {root}")
        return Path(os.path.normpath(self.path / path))


def checked_costs(path: Path, content: Any, manifest: Manifest | None) -> dict[str, dict[str, Any]]:
    """Return the costs by arm in ``facts.json``.

    Raises:
        DataError: an arm of the manifest is missing, or a field is not valid.
    """
    costs = check_fields(path, content, {})
    if manifest is None:
        return costs
    is_needed = bool(costs) or manifest.ladder is not None  # gains are amounts of compute
    missing = [name for name in manifest.names if name not in costs] if is_needed else []
    if missing:
        raise DataError(
            f"{path}: {missing[0]}, an arm of manifest.json: missing", "restore the files"
        )
    for arm, each in costs.items():
        check_fields(f"{path}: {arm}", each, ARM_COSTS, REQUIRED_COSTS)
        if unknown := each.keys() - ARM_COSTS.keys():
            raise DataError(f"{path}: {arm}.{min(unknown)}: unknown field", "restore the file")
    return costs


def sweeps_in(study_folder: Path) -> Iterator[SweepFolder]:
    """Yield the sweeps of a study, the most recently submitted one first.

    Each submission is numbered. Earlier versions did not number them: such sweeps are older than
    all others, and among themselves in the order of the last record of their runs. Times of files
    decide nothing, because a copy of a folder changes them.
    """
    sweeps = [(sweep._submission(), sweep) for sweep in _sweeps(study_folder)]
    has_unnumbered = sum(number == 0 for number, _ in sweeps) > 1
    keys = {
        sweep: (number, sweep._last_time() if has_unnumbered and not number else "", sweep.path)
        for number, sweep in sweeps
    }
    yield from sorted(keys, key=lambda sweep: keys[sweep], reverse=True)


def _sweeps(study_folder: Path) -> list[SweepFolder]:
    return [SweepFolder(path.parent) for path in study_folder.glob("sweeps/*/manifest.json")]
