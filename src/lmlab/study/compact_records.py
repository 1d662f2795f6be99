"""Reads the compact records beside a write-up; :mod:`lmlab.study.run_records` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.errors import DataError, UserError
from lmlab.run_folder import restore_numbers
from lmlab.storage.fields import COUNT, check_fields, valid_fields
from lmlab.storage.io import has_partial_line, read_json, scan_jsonl
from lmlab.storage.record_fields import (
    COMPACT_ROW,
    MANIFEST,
    META,
    PREFLIGHT,
    STATUS,
    metric_rows,
    probe_rows,
    task_rows,
    with_losses,
)
from lmlab.study.run_scores import RunScores
from lmlab.study.sweep_folder import checked_costs

NUM_RECORDS = "num_records"  # key of manifest.json: the rows of records.jsonl
_ROW_KINDS = ("validation", "train")
_REQUIRED = (
    "arm", "lr", "seed", "number", "purposes", "place", "status", "meta", *_ROW_KINDS, "samples",
)  # fmt: skip


def read_compact(
    folder: Path,
) -> tuple[Manifest, dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Read ``manifest.json``, ``facts.json`` and ``records.jsonl`` in a folder.

    Returns:
        The manifest, the costs by arm, and the fields of each run record.

    Raises:
        DataError: a file is missing or damaged; names it and the field.
    """
    path = folder / "manifest.json"
    try:
        content = check_fields(path, read_json(path), MANIFEST | {NUM_RECORDS: COUNT})
        manifest = Manifest.from_dict(content)
        path = folder / "facts.json"
        arm_costs = checked_costs(path, read_json(path), manifest)
        path = folder / "records.jsonl"
        rows, num_damaged = scan_jsonl(path)
        num_damaged += has_partial_line(path)  # the file is written whole
        if num_damaged:
            raise ValueError(f"{num_damaged} of its lines cannot be read")
        if len(rows) != content.get(NUM_RECORDS, len(rows)):  # older ones lack it
            raise ValueError(f"expected {content[NUM_RECORDS]} rows, found {len(rows)}")
        records = [_record(path, row, manifest.metric) for row in rows]
        unknown = [record["job"].arm for record in records if not manifest.has(record["job"])]
        if unknown and not manifest.is_plain:
            raise ValueError(f"arm={unknown[0]}: expected an arm of manifest.json")
        return manifest, arm_costs, records
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        reason = f"{path.name}: {error}"
    except UserError as error:
        reason = error.message if path.name in error.message else f"{path.name}: {error.message}"
    raise DataError(f"{folder}: invalid records: {reason}", "publish the study again")


def _record(path: Path, row: dict[str, Any], metric: str) -> dict[str, Any]:
    check_fields(path, row, COMPACT_ROW, _REQUIRED)
    rows = {
        kind: restore_numbers(with_losses(path, metric_rows(path, row[kind], kind), kind, needed))
        for kind, needed in (("validation", metric), ("train", "loss"))
    }
    return {
        "job": Job(row["arm"], row["lr"], row["seed"], row["number"]),
        "purposes": tuple(row["purposes"]),
        "metric": metric,
        "folder": row["place"],
        "status": valid_fields(path, row["status"], STATUS, ("status",)),
        "meta": valid_fields(path, row["meta"], META),
        **rows,
        "samples": row["samples"],
        "preflight": valid_fields(path, row.get("preflight", {}), PREFLIGHT),  # older ones lack it
        "notes": row.get("notes"),
        "tags": tuple(row.get("tags", ())),
        "num_damaged_rows": row.get("num_damaged_rows", 0),
        "probes": probe_rows(restore_numbers(row.get("probes", []))),
        "tasks": task_rows(restore_numbers(row.get("tasks", []))),
        "settings": row.get("settings", {}),
        "started": row.get("started", ""),
        "scores": {
            name: RunScores(one["items"], tuple(map(float, one["values"])))
            for name, one in row.get("scores", {}).items()
        },
    }
