"""What a report shows of probes: accuracy over training, and the last scores beside the best ones.

:mod:`lmlab.tasks.probes` defines probes and their scores.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.study.run_records import RunRecord, Study
from lmlab.study.run_section import main_purpose

NOTE = (
    "Accuracy is the exact probability, under the process that generated the text, of the answers "
    "that a model prefers, averaged over the items of a probe. The best possible accuracy is that "
    "of the process itself. KL is the divergence from the exact probabilities of an item's answers "
    "to those of the model, in nats per item; the best possible is 0."
)


def probe_facts(meta: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return what ``meta.json`` says of each probe: ``best`` accuracy, ``chance``, ``num_items``.

    A probe of which one of these is missing or no number is left out.
    """
    found = {}
    for name, facts in (meta.get("probes") or {}).items():
        best = facts.get("best") if isinstance(facts, dict) else None
        if not isinstance(best, dict):
            continue
        values = best.get("accuracy"), facts.get("chance"), facts.get("num_items")
        if all(isinstance(value, int | float) for value in values):
            found[name] = dict(zip(("best", "chance", "num_items"), values, strict=True))
    return found


def build_probes(study: Study) -> dict[str, Any] | None:
    """Return the probes of the runs that a report shows.

    Runs of a search are left out. Runs whose probes have other items than those of the first run,
    as with other held-out text, have no common best score; they are counted and left out.

    Returns:
        ``facts`` by probe, see :func:`probe_facts`; ``curves``, for each run its ``arm``, ``seed``,
        ``status``, and by probe the ``tokens`` and ``accuracy`` of its evaluations; ``columns`` and
        ``rows`` of the table of last scores; and ``notes``. None if no run has probes.
    """
    shown = [
        (record, probe_facts(record.meta))
        for record in study.records
        if record.probes and main_purpose(record) in ("judged", "run")
    ]
    if not shown or not shown[0][1]:
        return None
    facts = shown[0][1]
    alike = [record for record, other in shown if _same_items(facts, other)]
    notes = [NOTE]
    if len(alike) < len(shown):
        notes.append(
            f"{len(shown) - len(alike)} of {len(shown)} runs have other items, and are not shown."
        )
    return {
        "facts": facts,
        "curves": [_curves(record, facts) for record in alike],
        "columns": ["arm", "score", *(name.replace("_", " ") for name in facts)],
        "rows": _rows(alike, facts),
        "notes": notes,
    }


def _same_items(facts: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return facts.keys() == other.keys() and all(
        facts[name]["num_items"] == other[name]["num_items"]
        and math.isclose(facts[name]["best"], other[name]["best"])
        for name in facts
    )


def _curves(record: RunRecord, facts: Mapping[str, Any]) -> dict[str, Any]:
    by_probe: dict[str, dict[str, list[float]]] = {
        name: {"tokens": [], "accuracy": []} for name in facts
    }
    for row in record.probes:
        accuracy = row["accuracy"]
        if row["name"] in by_probe and math.isfinite(accuracy):
            by_probe[row["name"]]["tokens"].append(row.get("tokens", 0))
            by_probe[row["name"]]["accuracy"].append(accuracy)
    return {
        "arm": record.job.arm, "seed": record.job.seed, "status": record.state, "probes": by_probe,
    }  # fmt: skip


def _rows(records: Sequence[RunRecord], facts: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of the table: the best possible, chance, and means over the seeds by arm."""
    table = [
        ["", "best possible accuracy", *(f"{one['best']:.3f}" for one in facts.values())],
        ["", "accuracy of a guess", *(f"{one['chance']:.3f}" for one in facts.values())],
    ]
    by_arm: dict[str, list[RunRecord]] = {}
    for record in records:
        by_arm.setdefault(record.job.arm, []).append(record)
    for arm, same in by_arm.items():
        for score in ("accuracy", "kl"):
            means = [_mean([_last(record, name, score) for record in same]) for name in facts]
            table.append([arm, "KL" if score == "kl" else score, *means])
    return table


def _last(record: RunRecord, probe: str, score: str) -> float:
    values = [row.get(score) for row in record.probes if row["name"] == probe]
    return math.nan if not values or values[-1] is None else float(values[-1])


def _mean(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    return f"{statistics.fmean(known):.3f}" if known else ""
