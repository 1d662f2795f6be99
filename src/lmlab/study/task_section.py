"""What a report shows of tasks: scores over training, and the last scores of each arm.

:mod:`lmlab.tasks` defines tasks and their scores.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.study.run_records import RunRecord, Study
from lmlab.study.run_section import main_purpose

NOTE = (
    "Means over the seeds, ± their standard deviation. Margins and log-likelihoods are in nats per "
    "item."
)
MOST_DRAWN = 12  # tasks in a figure
# Keys of rows that are no scores.
_NO_SCORES = (
    "kind", "name", "step", "tokens", "seconds", "num_items", "num_tokens", "num_bytes",
    "nonfinite",
)  # fmt: skip
# What is drawn of a task: the first of these that it has, and the first of those.
_DRAWN = (("accuracy", "bits_per_byte", "loss"), ("margin", "log_likelihood"))


def scores_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores in a row of the kind ``tasks``, by name, without counts."""
    return {
        key: float(value)
        for key, value in row.items()
        if key not in _NO_SCORES and isinstance(value, int | float) and not isinstance(value, bool)
    }


def curves_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Return the curves of a run by task: its ``tokens``, and the scores that are drawn.

    Args:
        rows: of the kind ``tasks``, in order. A score that is not finite is NaN.
    """
    curves: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        scores = scores_of(row)
        drawn = [next((key for key in keys if key in scores), None) for keys in _DRAWN]
        empty: dict[str, list[float]] = {key: [] for key in ("tokens", *drawn) if key}
        curve = curves.setdefault(row["name"], empty)
        if any(key not in scores for key in curve if key != "tokens"):
            continue  # a damaged row
        curve["tokens"].append(row.get("tokens", 0))
        for key in curve.keys() - {"tokens"}:
            curve[key].append(scores[key])
    return curves


def build_tasks(study: Study) -> dict[str, Any] | None:
    """Return the tasks of the runs that a report shows, and the sources of their validation text.

    Runs of a search are left out. So are runs whose tasks have other items than those of the first
    run; they are counted.

    Returns:
        ``curves``, for each run its ``arm``, ``seed`` and ``status``, and ``tasks``, see
        :func:`curves_of`; ``columns`` and ``rows`` of the table of last scores; and ``notes``. None
        if no run has tasks.
    """
    shown = [
        record
        for record in study.records
        if record.tasks and main_purpose(record) in ("judged", "run")
    ]
    if not shown:
        return None
    alike = [record for record in shown if _hashes(record) == _hashes(shown[0])]
    notes = [NOTE]
    if len(alike) < len(shown):
        notes.append(
            f"{len(shown) - len(alike)} of {len(shown)} runs have other items, and are not shown."
        )
    tasks = list(dict.fromkeys(row["name"] for one in alike for row in one.tasks))
    if len(tasks) > MOST_DRAWN:
        notes.append(f"The figure shows the first {MOST_DRAWN} of {len(tasks)} tasks.")
    names = list(dict.fromkeys(key for one in alike for row in one.tasks for key in scores_of(row)))
    return {
        "curves": [
            {
                "arm": one.job.arm, "seed": one.job.seed, "status": one.state,
                "tasks": curves_of(one.tasks),
            }
            for one in alike
        ],
        "columns": ["task", "arm", *(name.replace("_", " ") for name in names)],
        "rows": _rows(alike, names),
        "notes": notes,
    }  # fmt: skip


def _hashes(record: RunRecord) -> Any:
    identity = record.meta.get("identity")
    return identity.get("tasks") if isinstance(identity, Mapping) else None


def _rows(records: Sequence[RunRecord], names: Sequence[str]) -> list[list[str]]:
    """Return a row per task and arm: means over the seeds of the last scores."""
    last: dict[str, dict[str, list[dict[str, float]]]] = {}
    for record in records:
        by_task = {row["name"]: scores_of(row) for row in record.tasks}
        for task, scores in by_task.items():
            last.setdefault(task, {}).setdefault(record.job.arm, []).append(scores)
    return [
        [task, arm, *(_mean([one.get(name, math.nan) for one in found]) for name in names)]
        for task, by_arm in last.items()
        for arm, found in by_arm.items()
    ]


def _mean(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return ""
    spread = f" ± {statistics.stdev(known):.2g}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.4g}{spread}"
