"""The records of a study, read from its files: its manifest, and a record of every run.

A study is read from its folder below ``outputs/``, or from the compact records that
:mod:`lmlab.study.write_records` writes beside a write-up. Both give the same report.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.metrics import Metric, further_metrics
from lmlab.design.search import TrialOutcome, outcome_from_losses
from lmlab.errors import DataError
from lmlab.run_folder import (
    FINISHED,
    RunFolder,
    early_stop,
    final_state,
)
from lmlab.storage.fields import warn_once
from lmlab.storage.io import (
    translate_read_errors,
)
from lmlab.storage.record_fields import probe_rows, source_rows, task_rows, with_losses
from lmlab.study.compact_records import read_compact
from lmlab.study.other_run import why_another
from lmlab.study.plain_runs import (
    distinct,
    separate_arms,
    settings_of_job,
    settings_of_run,
    with_one_metric,
)
from lmlab.study.run_scores import RunScores, read_scores
from lmlab.study.sweep_folder import LedgerEntry, SweepFolder, sweeps_in


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run as a report needs it.

    Attributes:
        job: arm, rate and seed.
        purposes: what the study needs the run for.
        folder: run folder relative to the output root, as shown in reports.
        status: content of ``status.json``; the status is ``missing`` where there is no run.
        meta: content of ``meta.json``.
        validation: validation rows of ``metrics.jsonl``.
        train: training rows of ``metrics.jsonl``.
        probes: rows of ``metrics.jsonl`` with the scores of probes.
        tasks: rows of ``metrics.jsonl`` with the scores of tasks.
        samples: content of ``samples.md``.
        metric: key of the validation rows by which the study compares runs.
        preflight: content of ``preflight.json``; empty where there is none.
        notes: the user's notes.
        tags: the user's tags.
        num_damaged_rows: rows of ``metrics.jsonl`` that cannot be read.
        settings: settings that distinguish a run of a plain sweep, or a run alone, from others;
            empty for the runs of a study, whose arms are declared.
        started: when the run first started, in UTC; empty where it is not recorded.
        scores: by name of the further metrics that the study judges arms by.
    """

    job: Job
    purposes: tuple[str, ...]
    folder: str
    status: dict[str, Any]
    meta: dict[str, Any]
    validation: list[dict[str, Any]]
    train: list[dict[str, Any]]
    samples: str
    metric: str = "loss"
    preflight: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: str | None = None
    tags: tuple[str, ...] = ()
    num_damaged_rows: int = 0
    probes: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    tasks: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    started: str = ""
    scores: dict[str, RunScores] = dataclasses.field(default_factory=dict)

    @property
    def annotation(self) -> str:
        """Notes and tags in one line; empty without them."""
        tags = f"[{', '.join(self.tags)}]" if self.tags else ""
        return " ".join(part for part in (self.notes, tags) if part)

    @property
    def state(self) -> str:
        """Status of the run, such as ``done``, by the rules of :meth:`RunFolder.status`."""
        return final_state(str(self.status.get("status", "missing")), self.validation)

    @property
    def shown_state(self) -> str:
        """The state, or ``stopped early`` where ``training.patience`` ended the run."""
        is_early = self.state == "done" and early_stop(self.status)
        return "stopped early" if is_early else self.state

    @property
    def lr(self) -> float | None:
        """Peak learning rate: chosen by the study, or configured where that is known."""
        if self.job.lr is not None:
            return self.job.lr
        configured = self.settings.get("optim.lr")
        return float(configured) if isinstance(configured, int | float) else None

    def reached(self, key: str) -> float | None:
        """How far the run got: its last ``step``, ``tokens`` or ``seconds``; None if unknown."""
        rows = [*self.validation[-1:], *self.train[-1:]]
        known = [row[key] for row in (self.status, *rows) if row.get(key) is not None]
        return max(known, default=None)

    @property
    def log(self) -> str:
        """Log of the run's process, relative to the output root."""
        return str(self.status.get("log") or f"{self.folder}/train.log")

    @property
    def outcome(self) -> TrialOutcome:
        """Result of the run as the search and the verdicts use it."""
        if self.state not in FINISHED:
            return TrialOutcome(self.state)
        return outcome_from_losses(self.state, [row[self.metric] for row in self.validation])

    def final(self, metric: str) -> float | None:
        """Return the final value of a metric of the validation rows; None without one."""
        if self.outcome.loss is None:
            return None
        value = self.validation[-1].get(metric)
        return float(value) if value is not None and math.isfinite(value) else None


@dataclasses.dataclass(frozen=True)
class Study:
    """A study as it was read from files.

    Attributes:
        name: name of the study.
        folder: folder from which it was read.
        manifest: what was submitted; None for runs that belong to no sweep.
        arm_costs: cost and data of each arm, by arm.
        records: records of the runs.
        num_damaged_rows: rows of the ledger that cannot be read.
    """

    name: str
    folder: Path
    manifest: Manifest | None
    arm_costs: dict[str, dict[str, Any]]
    records: list[RunRecord]
    num_damaged_rows: int = 0

    @property
    def metric(self) -> str:
        """The key of a validation row that the runs are compared by."""
        if self.records:
            return self.records[0].metric
        return "loss" if self.manifest is None else self.manifest.metric

    @property
    def outcomes(self) -> dict[Job, TrialOutcome]:
        """Result of each run."""
        return {record.job: record.outcome for record in self.records}

    @property
    def scores(self) -> dict[Job, dict[str, RunScores]]:
        """The scores of each run by the further metrics of the study."""
        return {record.job: record.scores for record in self.records if record.scores}

    @property
    def metrics(self) -> list[Metric]:
        """What arms are judged by besides the main metric."""
        design = None if self.manifest is None else self.manifest.comparison
        if self.manifest is None or design is None:
            return []
        return further_metrics(design, self.manifest.arms[0])

    @property
    def damage(self) -> list[str]:
        """What of the study's records cannot be read, one sentence per file."""
        files = [(f"{one.folder}/metrics.jsonl", one.num_damaged_rows) for one in self.records]
        files.append(("ledger.jsonl of the study", self.num_damaged_rows))
        return [
            f"{file}: {format_count(number, 'row')} cannot be read and count as missing."
            for file, number in files
            if number
        ]


def load_study(folder: Path) -> Study:
    """Load the newest sweep of a study, compact records, or plain runs, finished or not.

    Args:
        folder: folder of the study, of one of its sweeps, of compact records, or of the write-up
            beside them.

    Raises:
        DataError: the folder contains none of these.
    """
    folder = Path(folder)
    sweep = SweepFolder(folder)
    if not sweep.exists:
        sweep = next(sweeps_in(folder), sweep)
    if sweep.exists:
        manifest = sweep.manifest()
        entries, num_damaged = sweep.scan_entries()
        known = [entry for entry in entries if manifest.has(entry.job)]
        if len(known) < len(entries):
            path = sweep.path / "ledger.jsonl"
            warn_once(f"{path}: a row names no arm of manifest.json; it counts as missing")
            num_damaged += len(entries) - len(known)
        records = [_read_entry(entry, sweep.study_folder, manifest) for entry in known]
        if num_damaged:
            records += _unrecorded(manifest, records)
        if manifest.is_plain:
            if folder.resolve() != sweep.path.resolve():
                records += _runs_alone(sweep.study_folder, len(manifest.arms))
            records = with_one_metric(separate_arms(distinct(records)))
        costs = sweep.arm_costs(manifest)
        return Study(manifest.study, folder, manifest, costs, records, num_damaged)
    for compact in (folder, folder / "records"):
        if (compact / "records.jsonl").exists():
            manifest, costs, rows = read_compact(compact)
            records = [RunRecord(**row) for row in rows]
            return Study(manifest.study, compact, manifest, costs, records)
    runs = list(_runs_below(folder))
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "pass a folder such as outputs/<study>")
    if not runs:
        raise DataError(
            f"{folder}: not a study; expected sweeps/, records.jsonl, or run folders "
            "<arm>/seed<k>/",
            "pass a folder such as outputs/<study>",
        )
    records = with_one_metric(separate_arms(distinct(runs)))
    return Study(folder.resolve().name, folder, None, {}, records)


def _runs_alone(study_folder: Path, first_number: int) -> list[RunRecord]:
    """Return the runs in a study's folder that belong to no sweep."""
    of_sweeps = {
        _relative_to_root(entry.run.path, study_folder)
        for sweep in sweeps_in(study_folder)
        for entry in sweep.entries()
    }
    return [
        dataclasses.replace(
            record, job=dataclasses.replace(record.job, number=first_number + index)
        )
        for index, record in enumerate(_runs_below(study_folder, of_sweeps))
    ]


def is_study_folder(folder: Path) -> bool:
    """Return whether ``folder`` contains run folders or sweeps, not records or a single sweep."""
    return (folder / "sweeps").is_dir() or any(_runs_below(folder))


def other_runs(study: Study) -> list[RunRecord]:
    """Return runs in a study's folder that its newest sweep does not need."""
    known = {record.folder for record in study.records}
    return list(_runs_below(study.folder, known))


def _unrecorded(manifest: Manifest, records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs that the study requires and that its damaged ledger does not name."""
    outcomes = {record.job: record.outcome for record in records}
    return [
        RunRecord(
            job=job, purposes=tuple(purposes), folder=f"{manifest.study}/?",
            status={"status": "missing", "reason": "its row in ledger.jsonl cannot be read"},
            meta={}, validation=[], train=[], samples="", metric=manifest.metric,
        )
        for job, purposes in manifest.required_jobs(outcomes).items()
        if job not in outcomes
    ]  # fmt: skip


def _read_entry(entry: LedgerEntry, study_folder: Path, manifest: Manifest) -> RunRecord:
    metrics: list[Metric] = []
    if manifest.comparison is not None and "judged" in entry.purposes:
        metrics = further_metrics(manifest.comparison, manifest.arms[0])
    record = read_run(entry.run, entry.job, entry.purposes, study_folder, manifest.metric, metrics)
    reason = why_another(record.meta, entry.run, manifest.job_config(entry.job))
    if reason:
        status = {"status": "missing", "reason": reason}
        return dataclasses.replace(
            record, status=status, validation=[], train=[], probes=[], tasks=[], samples="",
            scores={},
        )  # fmt: skip
    if manifest.is_plain:
        settings = settings_of_run(record.meta) or settings_of_job(manifest.job_config(entry.job))
        record = dataclasses.replace(record, settings=settings)
    if entry.failure is None or record.state in (*FINISHED, "running", "failed"):
        return record
    log = _relative_to_root(entry.failure.log, study_folder)
    failure = {"status": "failed", "reason": entry.failure.reason, "log": log}
    return dataclasses.replace(record, status=record.status | failure)


def _relative_to_root(path: Path, study_folder: Path) -> str:
    try:
        return str(path.resolve().relative_to(study_folder.resolve().parent))
    except ValueError:
        return str(path)


def read_run(
    run: RunFolder, job: Job, purposes: Sequence[str], study_folder: Path, metric: str = "loss",
    metrics: Sequence[Metric] = (),
) -> RunRecord:  # fmt: skip
    """Read the record of a run folder, which may not exist yet.

    Args:
        run: the run folder.
        job: arm, rate and seed.
        purposes: what the study needs the run for.
        study_folder: folder of the study.
        metric: key of the validation rows by which runs are compared.
        metrics: further metrics, whose scores are read.
    """
    samples = _read_text(run.samples)
    rows, num_damaged = run.scan_rows()
    notes, tags = run.annotations()
    return RunRecord(
        job=job,
        purposes=tuple(purposes),
        folder=_relative_to_root(run.path, study_folder),
        status=run.status() or {"status": "missing"},
        meta=run.meta(),
        validation=with_losses(run.path / "metrics.jsonl", rows, "validation", metric),
        train=with_losses(run.path / "metrics.jsonl", rows, "train"),
        samples=samples,
        metric=metric,
        preflight=run.preflight(),
        notes=notes,
        tags=tuple(tags),
        num_damaged_rows=num_damaged,
        probes=probe_rows(rows),
        tasks=[*source_rows(rows), *task_rows(rows)],
        started=_first_start(run.meta()),
        scores=read_scores(run, metrics, rows),
    )


def _first_start(meta: dict[str, Any]) -> str:
    sessions = meta.get("sessions") or [{}]
    return str(sessions[0].get("time") or "")


def _read_text(path: Path) -> str:
    """Read a text; bytes that are no UTF-8 are replaced, and a missing file is empty."""
    with translate_read_errors(path):
        return path.read_bytes().decode("utf-8", "replace") if path.exists() else ""


def _runs_below(folder: Path, known: Collection[str] = ()) -> Iterator[RunRecord]:
    for config in sorted(folder.glob("*/seed*/config.yaml")):
        if _relative_to_root(config.parent, folder) in known:
            continue
        run = RunFolder(config.parent)
        seed = config.parent.name.removeprefix("seed").partition("-")[0]
        job = Job(config.parent.parent.name, None, int(seed) if seed.isdigit() else 0)
        record = read_run(run, job, ("run",), folder)
        yield dataclasses.replace(record, settings=settings_of_run(record.meta))
