"""The fields of a run's and a study's records that the program uses, and what each may be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lmlab.errors import DataError
from lmlab.storage.fields import (
    AMOUNT,
    COUNT,
    COUNTS,
    FILE_NAME,
    FILE_NAMES,
    FLAG,
    LISTS_OF_TEXTS,
    NUMBER,
    NUMBERS_BY_NAME,
    OBJECT,
    OBJECTS,
    PATH,
    TEXT,
    TEXTS,
    Fields,
    Kind,
    or_null,
    rows_with_fields,
    warn_once,
)


def _inside(name: str, fields: Fields) -> Fields:
    return {f"{name}.{key}": kind for key, kind in fields.items()}


STATUSES = ("queued", "running", "done", "diverged", "failed", "preempted", "interrupted")
_NO_RUN = "missing"  # in the records of a study
STATUS: Fields = {
    "status": Kind(lambda value: value in (*STATUSES, _NO_RUN), f"one of {', '.join(STATUSES)}"),
    "step": COUNT, "steps": COUNT, "tokens": COUNT, "seconds": AMOUNT,
    "reason": TEXT, "log": PATH, "time": TEXT,
}  # fmt: skip
STATUS_EXPECTED = ("status", "step", "steps", "tokens", "seconds")
META: Fields = {
    "identity": OBJECT, "identity.config": OBJECT, "identity.config.seeds": or_null(OBJECT),
    "identity.config.optim.lr": or_null(NUMBER),
    "corpus": TEXT, "train_tokens": COUNT, "valid_tokens": COUNT,
    "valid_text_bytes": COUNT, "num_parameters": COUNT, "forward_flops_per_token": AMOUNT,
    "floor": OBJECT, "floor.bits_per_byte": NUMBER, "floor.nats_per_token": NUMBER,
    "floor.note": TEXT, "probes": or_null(OBJECT), "parent": PATH,
    "sessions": OBJECTS, "sessions[].time": TEXT,
    "sessions[].code": or_null(OBJECT), "sessions[].code.commit": or_null(TEXT),
    "sessions[].versions": OBJECT, "sessions[].command": or_null(TEXTS),
    "sessions[].folder": or_null(PATH),
    "sessions[].from_step": COUNT, "sessions[].from_seconds": AMOUNT,
    "taken_over": OBJECT, "taken_over.updates": COUNT, "taken_over.seconds": AMOUNT,
}  # fmt: skip
NOTES: Fields = {"notes": TEXT, "tags": TEXTS}
_RUN_COSTS: Fields = dict.fromkeys(
    ("seconds", "training_seconds", "peak_bytes", "disk_bytes"), or_null(AMOUNT)
)
PREFLIGHT: Fields = {
    "from_step": COUNT, **_inside("predicted", _RUN_COSTS), **_inside("actual", _RUN_COSTS),
}  # fmt: skip
ARM_COSTS: Fields = {
    **dict.fromkeys(("parameters", "flops", "tokens", "steps", "batch_size", "context",
                     "evaluation", "evaluations"), AMOUNT),
    "data": TEXT, "tokenizer": TEXT, "d_ff": or_null(COUNT), "matching_d_ff": or_null(COUNT),
    "validation": or_null(TEXT), "evaluates_all": or_null(FLAG),
}  # fmt: skip
_LATER_COSTS = ("matching_d_ff", "validation", "evaluates_all")  # earlier versions wrote none
REQUIRED_COSTS = tuple(name for name in ARM_COSTS if name not in _LATER_COSTS)
_MEASURED = ("loss", "lr", "grad_norm", "tokens_per_second", "bits_per_byte", "perplexity")
ROW: Fields = {
    "kind": TEXT, "step": COUNT, "tokens": COUNT, "seconds": NUMBER, "num_tokens": COUNT,
    **{name: or_null(NUMBER) for name in _MEASURED},
}  # fmt: skip
PURPOSES = Kind(lambda value: bool(value) and TEXTS.accepts(value), "a list of purposes")
JOB: Fields = {"arm": TEXT, "lr": or_null(AMOUNT), "seed": COUNT, "number": COUNT}
LEDGER_ROW: Fields = {
    **JOB, "purposes": PURPOSES, "run": PATH, "failure": or_null(OBJECT), "failure.reason": TEXT,
    "failure.log": PATH,
}  # fmt: skip
# Names and numbers of jobs are part of commands and of the names of files.
JOB_NAME = Kind(FILE_NAME.accepts, "the name of a job")
JOB_NUMBER = Kind(FILE_NAME.accepts, "the number of a job")
SUBMISSION: Fields = {
    "name": JOB_NAME, "job_id": or_null(JOB_NUMBER), "time": TEXT, "output_root": PATH,
    "runs": OBJECTS,
}  # fmt: skip
ASSIGNMENT: Fields = {
    "job": OBJECT, **_inside("job", JOB), "identity": TEXT,
    "frozen": FILE_NAME, "index": COUNT, "step": COUNT, "attempt": COUNT,
}  # fmt: skip
ADOPTION: Fields = {
    "job": OBJECT, **_inside("job", JOB), "submission": PATH, "identity": TEXT,
}  # fmt: skip
OWNER: Fields = {"submission": PATH, "index": COUNT}
DRIVER_JOB: Fields = {"name": JOB_NAME, "job_id": JOB_NUMBER}
STACK: Fields = {"most": COUNT, "files": FILE_NAMES}
COMPACT_ROW: Fields = {
    **JOB, "purposes": PURPOSES, "place": PATH, "status": OBJECT, "meta": OBJECT,
    "validation": OBJECTS, "train": OBJECTS, "samples": TEXT, "preflight": OBJECT,
    "notes": or_null(TEXT), "tags": TEXTS, "settings": OBJECT, "num_damaged_rows": COUNT,
    "started": TEXT, "probes": OBJECTS, "tasks": OBJECTS, "scores": OBJECT,
}  # fmt: skip
MANIFEST: dict[str, Kind] = {
    "study": TEXT, "command": TEXT, "names": TEXTS, "overrides": LISTS_OF_TEXTS,
    "comparison": or_null(OBJECT), "arms": OBJECTS, "arms[].study": TEXT, "arms[].arm": TEXT,
    "arms[].seed": COUNT, "arms[].seeds": OBJECT, "arms[].output_root": PATH,
    "arms[].optim": OBJECT, "arms[].optim.lr": or_null(AMOUNT), "arms[].model": OBJECT,
    "arms[].model.context_length": COUNT, "arms[].training": OBJECT, "arms[].training.steps": COUNT,
    "arms[].training.batch_size": COUNT, "arms[].samples": OBJECT,
    "arms[].samples.prompts": TEXTS, "arms[].samples.count": COUNT,
    "arms[].samples.temperature": or_null(NUMBER),
    "arms[].training.grad_clip_norm": or_null(NUMBER), "arms[].model.dropout": or_null(NUMBER),
    "arms[].samples.top_k": or_null(COUNT), "arms[].samples.top_p": or_null(NUMBER),
    "arms[].validation": OBJECT, "arms[].validation.max_tokens": or_null(COUNT),
    **{f"arms[].training.{budget}": or_null(NUMBER) for budget in ("tokens", "flops", "minutes")},
    "arms[].runtime": OBJECT, "arms[].logger": OBJECT,
    **{f"arms[].model.{part}": OBJECT for part in ("norm", "pos", "ffn", "attention")},
    "arms[].data": OBJECT,
    "arms[].tokenizer": OBJECT, "arms[].schedule": OBJECT, "hydra": or_null(OBJECT),
}  # fmt: skip
# What a comparison shares with the designs that consist of one.
_COMPARED: dict[str, Kind] = {
    "question": TEXT, "lr": TEXT, "lr_factor": NUMBER, "edge_ratio": or_null(NUMBER),
    "confirm_rate": TEXT, "num_seeds": COUNT, "num_tuning_seeds": COUNT, "solve_d_ff": FLAG,
    "tolerance": NUMBERS_BY_NAME, "allow": TEXTS, "margin": NUMBER, "alpha": NUMBER,
    "power": NUMBER, "expected_sd": NUMBER, "limits": TEXTS, "metric": TEXT, "test": TEXT,
}  # fmt: skip
MANIFEST |= _inside("comparison", _COMPARED | {
    "arms": OBJECT, "baseline": or_null(TEXT), "replicate": or_null(TEXT), "at_baseline_lr": FLAG,
    "extra_seeds": COUNT, "hold_tokens": FLAG, "earlier_looks": COUNTS, "earlier_arms": TEXTS,
    "dropped_arms": TEXTS, "keep_d_ff": TEXTS, "metrics": TEXTS, "items": TEXT,
    "margins": NUMBERS_BY_NAME, "expected_sds": NUMBERS_BY_NAME, "look": TEXT, "min_seeds": COUNT,
    "max_seeds": or_null(COUNT), "futility": NUMBER, "max_runs": or_null(COUNT),
    "max_minutes": or_null(NUMBER), "prune": TEXT,
})  # fmt: skip
MANIFEST["ladder"] = or_null(OBJECT)
MANIFEST |= _inside("ladder", {
    "question": TEXT, "analysis": TEXT, "generator": OBJECT, "arms": OBJECT, "baseline": TEXT,
    "replicate": or_null(TEXT), "lr": TEXT,
    "search_rungs": COUNT, "at_lowest_lr": FLAG, "num_tuning_seeds": COUNT, "solve_d_ff": FLAG,
    "tolerance": NUMBERS_BY_NAME, "allow": TEXTS, "limits": TEXTS, "sealed": FLAG,
    "rungs": OBJECTS, "rungs[].overrides": TEXTS,
    **{f"rungs[].{name}": COUNT for name in (
        "d_model", "num_layers", "parameters", "hidden_parameters", "tokens", "flops")},
    "edge_ratio": or_null(NUMBER),
    **dict.fromkeys(("lr_factor", "alpha", "margin", "steady", "power", "max_factor",
                     "entropy", "expected_sd", "loss_margin"), NUMBER),
})  # fmt: skip
MANIFEST["factorial"] = or_null(OBJECT)
MANIFEST |= _inside("factorial", _COMPARED | {
    "factors": OBJECT, "fraction": COUNT, "resolution": or_null(COUNT), "generators": TEXTS,
})  # fmt: skip
MANIFEST["leave_one_out"] = or_null(OBJECT)
MANIFEST |= _inside("leave_one_out", _COMPARED | {
    "changes": OBJECT, "replicate": or_null(TEXT), "extra_seeds": COUNT,
})  # fmt: skip
SUMMARY: Fields = {
    "study": TEXT, "title": TEXT, "question": or_null(TEXT), "headline": TEXTS, "counts": OBJECT,
    "generated": or_null(TEXT),
}  # fmt: skip


def metric_rows(
    path: Path, rows: list[dict[str, Any]], kind: str | None = None
) -> list[dict[str, Any]]:
    """Return the rows of ``metrics.jsonl`` whose fields are valid; a warning names the others.

    Args:
        path: of the file, for the warning.
        rows: those that can be read.
        kind: of all rows; None where each says it.
    """
    kept = rows_with_fields(path, rows, ROW, ("step",))
    return kept if kind is None else [row | {"kind": kind} for row in kept]


def probe_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of probes that name one and have a number as ``accuracy``, perhaps NaN."""
    return [
        row
        for row in rows
        if row.get("kind") == "probes"
        and isinstance(row.get("name"), str)
        and isinstance(row.get("accuracy"), int | float)
    ]


def task_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of tasks that name one."""
    return [row for row in rows if row.get("kind") == "tasks" and isinstance(row.get("name"), str)]


def source_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the losses on sources of a mixture as rows of tasks ``validation/<source>``.

    Args:
        rows: of the kind ``validation``; others are left out. See
            :meth:`lmlab.training.evaluator.ValidationResult.scores`.
    """
    found = []
    for row in rows:
        names = [key.partition("/")[2] for key in row if key.startswith("loss/")]
        for name in names if row.get("kind") == "validation" else ():
            of_source: dict[str, Any] = {"kind": "tasks", "name": f"validation/{name}"}
            of_source |= {key: row[key] for key in ("step", "tokens", "seconds") if key in row}
            for score in ("loss", "bits_per_byte"):
                value = row.get(f"{score}/{name}")
                if isinstance(value, int | float) and math.isfinite(value):
                    of_source[score] = value
            found.append(of_source)
    return found


def with_losses(
    path: Path, rows: list[dict[str, Any]], kind: str, metric: str = "loss"
) -> list[dict[str, Any]]:
    """Return the rows of a kind that have a loss; a warning says where it is missing.

    Raises:
        DataError: one of them lacks ``metric``, by which a study compares its runs.
    """
    chosen = [row for row in rows if row.get("kind") == kind]
    kept = [row for row in chosen if "loss" in row]
    if len(kept) < len(chosen):
        warn_once(f"{path}: loss: missing in a {kind} row; the row counts as missing")
    lacking = next((row for row in kept if metric not in row), None)
    if lacking is not None:
        raise DataError(
            f"{path}: {metric}: missing in the {kind} row of step {lacking.get('step')}",
            "restore the file, or delete it and rerun the study, which trains the run again",
        )
    return kept
