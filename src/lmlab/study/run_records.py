"""What a study's files say: its manifest, and a record of every run.

A study is read from its folder below ``outputs/``, or from the compact records that
:func:`write_compact` makes of it for keeping beside a write-up. Both give the same report.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from lmlab.design.manifest import Job, Manifest
from lmlab.design.search import TrialOutcome, outcome_from_losses
from lmlab.errors import DataError
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.storage.io import atomic_write_text, read_json, read_jsonl, write_json
from lmlab.study.sweep_folder import Entry, SweepFolder, sweeps_in

_MOST_ROWS = 24  # kept of a run's training rows in compact records
_STATUS_KEYS = ("status", "step", "steps", "tokens", "seconds", "reason", "log", "time")
_META_KEYS = (
    "corpus", "train_tokens", "valid_tokens", "valid_text_bytes", "num_parameters",
    "forward_flops_per_token", "floor",
)  # fmt: skip
_SESSION_KEYS = ("time", "platform", "python", "versions", "device")


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run as a report needs it.

    Attributes:
        job: arm, rate and seed.
        purposes: what the study needs it for.
        place: its folder, relative to the study's; for people.
        status: of ``status.json``; ``missing`` where there is no run.
        meta: of ``meta.json``.
        validation: validation rows.
        train: training rows.
        samples: the texts it wrote.
        metric: what the study compares runs in, a key of the validation rows.
        preflight: of ``preflight.json``; empty where there is none.
    """

    job: Job
    purposes: tuple[str, ...]
    place: str
    status: dict[str, Any]
    meta: dict[str, Any]
    validation: list[dict[str, Any]]
    train: list[dict[str, Any]]
    samples: str
    metric: str = "loss"
    preflight: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def state(self) -> str:
        """The status as one word."""
        return str(self.status.get("status", "missing"))

    @property
    def log(self) -> str:
        """What its process printed, relative as ``place`` is."""
        return str(self.status.get("log") or f"{self.place}/train.log")

    @property
    def outcome(self) -> TrialOutcome:
        """The result as the design sees it."""
        if self.state not in FINISHED:
            return TrialOutcome(self.state)
        return outcome_from_losses(self.state, [row[self.metric] for row in self.validation])


@dataclasses.dataclass(frozen=True)
class Study:
    """Everything a report is made of.

    Attributes:
        name: of the study.
        folder: where it was read.
        manifest: as submitted; None for runs that no sweep made.
        facts: what each arm costs and sees, by arm.
        records: of the runs.
    """

    name: str
    folder: Path
    manifest: Manifest | None
    facts: dict[str, dict[str, Any]]
    records: list[RunRecord]

    @property
    def outcomes(self) -> dict[Job, TrialOutcome]:
        """Results by job."""
        return {record.job: record.outcome for record in self.records}


def load_study(folder: Path) -> Study:
    """Read a study's newest sweep, compact records, or bare runs; half-finished ones too.

    Args:
        folder: of the study, of one of its sweeps, or of compact records or the write-up made of
            them.

    Raises:
        DataError: there is nothing of the kind in the folder.
    """
    folder = Path(folder)
    sweep = SweepFolder(folder)
    if not sweep.is_there:
        sweep = next(sweeps_in(folder), sweep)
    if sweep.is_there:
        manifest = sweep.manifest()
        records = [_read_entry(entry, sweep.study, manifest.metric) for entry in sweep.entries()]
        return Study(manifest.study, folder, manifest, sweep.facts(), records)
    for kept in (folder, folder / "records"):
        if (kept / "records.jsonl").exists():
            return _load_compact(kept)
    runs = list(_bare_runs(folder))
    if not runs:
        raise DataError(
            f"{folder}: there is no study here: expected are sweeps/, records.jsonl, or run "
            "folders <arm>/seed<k>/ (a study lies in outputs/<study>)"
        )
    return Study(folder.resolve().name, folder, None, {}, runs)


def other_runs(study: Study) -> list[RunRecord]:
    """The runs in a study's folder that its newest sweep does not need, as of earlier ones."""
    known = {record.place for record in study.records}
    return list(_bare_runs(study.folder, known))


def _read_entry(entry: Entry, study: Path, metric: str) -> RunRecord:
    record = read_run(entry.run, entry.job, entry.purposes, study, metric)
    if entry.failure is None or record.state in (*FINISHED, "running", "failed"):
        return record
    log = _place(entry.failure.log, study)
    told = {"status": "failed", "reason": entry.failure.reason, "log": log}
    return dataclasses.replace(record, status=record.status | told)


def _place(path: Path, study: Path) -> str:
    try:
        return str(path.resolve().relative_to(study.resolve().parent))
    except ValueError:
        return str(path)


def read_run(
    run: RunFolder, job: Job, purposes: Sequence[str], study: Path, metric: str = "loss"
) -> RunRecord:
    """A record of a run folder, which need not exist."""
    samples = run.samples.read_text("utf-8") if run.samples.exists() else ""
    rows = run.rows()
    return RunRecord(
        job=job,
        purposes=tuple(purposes),
        place=_place(run.path, study),
        status=run.status() or {"status": "missing"},
        meta=run.meta(),
        validation=[row for row in rows if row.get("kind") == "validation"],
        train=[row for row in rows if row.get("kind") == "train"],
        samples=samples,
        metric=metric,
        preflight=run.preflight(),
    )


def _bare_runs(folder: Path, known: Collection[str] = ()) -> Iterator[RunRecord]:
    for config in sorted(folder.glob("*/seed*/config.yaml")):
        if _place(config.parent, folder) in known:
            continue
        run = RunFolder(config.parent)
        seed = config.parent.name.removeprefix("seed").partition("-")[0]
        job = Job(config.parent.parent.name, None, int(seed) if seed.isdigit() else 0)
        yield read_run(run, job, ("run",), folder)


def write_compact(study: Study, target: Path) -> list[Path]:
    """Write the records that a report needs, without weights, logs, or where they were made."""
    assert study.manifest is not None
    lines = []
    for record in study.records:
        session = (record.meta.get("sessions") or [{}])[-1]
        kept = {key: session[key] for key in _SESSION_KEYS if key in session}
        kept["commit"] = session.get("code", {}).get("commit")
        meta = {key: record.meta.get(key) for key in _META_KEYS} | {"sessions": [kept]}
        row = dataclasses.asdict(record.job) | {
            "purposes": record.purposes,
            "place": record.place,
            "status": {key: record.status[key] for key in _STATUS_KEYS if key in record.status},
            "meta": meta,
            "validation": [_short(row) for row in record.validation],
            "train": [_short(row) for row in _thinned(record.train)],
            "samples": record.samples if "judged" in record.purposes else "",
            "preflight": record.preflight,
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    paths = [target / name for name in ("manifest.json", "facts.json", "records.jsonl")]
    write_json(paths[0], study.manifest.as_dict())
    write_json(paths[1], study.facts)
    atomic_write_text(paths[2], "".join(lines))
    return paths


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    every = max(1, math.ceil(len(rows) / _MOST_ROWS))
    return rows[::-1][::every][::-1]  # the last row stays


def _short(row: dict[str, Any]) -> dict[str, Any]:
    kept = ("step", "tokens", "seconds", "loss", "lr", "bits_per_byte", "num_tokens")
    return {key: row[key] for key in kept if key in row}


def _load_compact(folder: Path) -> Study:
    try:
        manifest = Manifest.from_dict(read_json(folder / "manifest.json"))
        facts = read_json(folder / "facts.json")
        records = [
            RunRecord(
                job=Job(row["arm"], row["lr"], row["seed"], row["number"]),
                purposes=tuple(row["purposes"]),
                metric=manifest.metric,
                **{key: row[key] for key in _RECORD_KEYS},
                preflight=row.get("preflight", {}),  # records kept before it was written
            )
            for row in read_jsonl(folder / "records.jsonl")
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: its records cannot be read: {error}") from error
    return Study(manifest.study, folder, manifest, facts, records)


_RECORD_KEYS = ("place", "status", "meta", "validation", "train", "samples")
