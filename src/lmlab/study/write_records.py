"""Compact records: what a report needs of a study, small enough for git.

:mod:`lmlab.study.compact_records` reads them.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from lmlab.run_folder import REUSED_KEY
from lmlab.storage.io import (
    atomic_write_bytes,
    atomic_write_text,
    translate_read_errors,
    write_json,
)
from lmlab.storage.json_text import dump_json
from lmlab.study.compact_records import NUM_RECORDS
from lmlab.study.ladders.seals import seals_file
from lmlab.study.run_records import Study
from lmlab.study.run_section import main_purpose
from lmlab.study.shared_updates import recorded_start
from lmlab.study.task_section import scores_of

_MAX_TRAIN_ROWS = 24  # per run
_STATUS_KEYS = ("status", "step", "steps", "tokens", "seconds", "reason", "log", "time")
_META_KEYS = (
    "corpus", "train_tokens", "valid_tokens", "valid_text_bytes", "num_parameters",
    "forward_flops_per_token", "floor", "policy", "probes",
)  # fmt: skip
_SESSION_KEYS = ("time", "platform", "python", "versions", "device", "environment")


def write_compact(study: Study, target: Path) -> list[Path]:
    """Write the records that a report needs, without weights, logs and absolute paths.

    Returns:
        Paths of ``manifest.json``, ``facts.json`` and ``records.jsonl``, and of the seals of a
        ladder.
    """
    assert study.manifest is not None
    lines = []
    for record in study.records:
        session = (record.meta.get("sessions") or [{}])[-1]
        short_session = {key: session[key] for key in _SESSION_KEYS if key in session}
        short_session["commit"] = (session.get("code") or {}).get("commit")
        meta = {key: record.meta.get(key) for key in _META_KEYS} | {"sessions": [short_session]}
        meta |= {key: record.meta[key] for key in (REUSED_KEY,) if key in record.meta}
        if start := recorded_start(record.meta):
            meta["taken_over"] = start
        row = dataclasses.asdict(record.job) | {
            "purposes": record.purposes,
            "place": record.folder,
            "status": {key: record.status[key] for key in _STATUS_KEYS if key in record.status},
            "meta": meta,
            "validation": [_compact_row(row) for row in record.validation],
            "train": [_compact_row(row) for row in _subsample(record.train)],
            "samples": record.samples if "judged" in record.purposes else "",
            "preflight": record.preflight,
        }
        if record.probes and main_purpose(record) in ("judged", "run"):
            row["probes"] = [_compact_probe(one) for one in record.probes]
        if record.tasks and main_purpose(record) in ("judged", "run"):
            row["tasks"] = [_compact_task(one) for one in record.tasks]
        if record.scores:
            row["scores"] = {name: dataclasses.asdict(one) for name, one in record.scores.items()}
        if record.annotation:
            row |= {"notes": record.notes, "tags": record.tags}
        if record.started:
            row["started"] = record.started
        if record.num_damaged_rows:
            row["num_damaged_rows"] = record.num_damaged_rows
        if record.settings:
            row["settings"] = record.settings
        lines.append(dump_json(row) + "\n")
    paths = [target / name for name in ("manifest.json", "facts.json", "records.jsonl")]
    write_json(paths[0], study.manifest.as_dict() | {NUM_RECORDS: len(lines)})
    write_json(paths[1], study.arm_costs)
    atomic_write_text(paths[2], "".join(lines))
    return [*paths, *_copy_seals(study, target)]


def _copy_seals(study: Study, target: Path) -> list[Path]:
    """Copy the sealed forecasts of a ladder as they are, so that their hashes still hold."""
    source = seals_file(study.folder)
    if study.manifest is None or study.manifest.ladder is None or not source.exists():
        return []
    with translate_read_errors(source):
        content = source.read_bytes()
    atomic_write_bytes(target / source.name, content)
    return [target / source.name]


def _subsample(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    step = max(1, math.ceil(len(rows) / _MAX_TRAIN_ROWS))
    return rows[::-1][::step][::-1]  # includes the last row


def _compact_probe(row: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of a probe with five digits."""
    scores = {
        key: float(f"{value:.5g}")
        for key in ("accuracy", "margin", "kl")
        if isinstance(value := row.get(key), int | float)
    }
    return {key: row[key] for key in ("kind", "name", "step", "tokens") if key in row} | scores


def _compact_task(row: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of a task with five digits."""
    kept = {key: row[key] for key in ("kind", "name", "step", "tokens", "num_items") if key in row}
    return kept | {key: float(f"{value:.5g}") for key, value in scores_of(row).items()}


def _compact_row(row: dict[str, Any]) -> dict[str, Any]:
    keys = ("step", "tokens", "seconds", "loss", "lr", "grad_norm", "tokens_per_second",
            "bits_per_byte", "num_tokens")  # fmt: skip
    return {key: row[key] for key in keys if key in row}
