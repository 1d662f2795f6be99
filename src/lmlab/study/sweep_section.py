"""The part of a report about a plain sweep: the loss at each point of the swept settings."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from lmlab.design.run_keys import typed_text
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.study_facts import describe_states, parse_value, setting_values, swept_settings


def build_sweep(study: Study) -> dict[str, Any]:
    """Return the swept settings and the result of every run of a plain sweep.

    Returns:
        ``keys``, the settings with more than one value, in the order of the command line;
        ``points``: for each run its arm, seed, ``values`` of the keys, status and final loss (None
        without one); and ``rows``: for each arm its values as text, ``mean`` and ``sd`` of the
        losses, number of ``seeds`` with a loss, and ``status``, the lowest loss first. All are
        empty for a comparison of arms.
    """
    swept = swept_settings(study)
    arms = dict.fromkeys(record.job.arm for record in study.records) if swept else {}
    texts = {arm: setting_values(study, arm, swept) for arm in arms}
    values = {
        arm: {key: parse_value(text) for key, text in found.items()} for arm, found in texts.items()
    }
    # Texts may differ where numbers do not: 1e-3 and 0.001.
    keys = [key for key in swept if len({found[key] for found in values.values()}) > 1]
    if not keys:
        return {"keys": [], "points": [], "rows": []}
    points = [
        _point(record, [values[record.job.arm][key] for key in keys]) for record in study.records
    ]
    typed = {arm: [found[key] for key in keys] for arm, found in texts.items()}
    return {"keys": keys, "points": points, "rows": _rows(points, typed)}


def _rows(points: list[dict[str, Any]], typed: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Return one row per arm. An arm of which a run diverged has no mean and comes last."""
    by_arm: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        by_arm.setdefault(point["arm"], []).append(point)
    rows = []
    for arm, found in by_arm.items():
        losses = [point["loss"] for point in found if point["loss"] is not None]
        is_whole = not any(point["status"] == "diverged" for point in found)
        rows.append(
            {
                "arm": arm,
                "values": typed[arm],
                "mean": statistics.fmean(losses) if losses and is_whole else None,
                "sd": statistics.stdev(losses) if len(losses) > 1 and is_whole else None,
                "seeds": len(losses),
                "status": describe_states(point["status"] for point in found),
            }
        )
    return sorted(rows, key=lambda row: math.inf if row["mean"] is None else row["mean"])


def text_of(value: Any) -> str:
    """Return a swept value as it is typed on the command line."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return typed_text(value)


def _point(record: RunRecord, values: list[Any]) -> dict[str, Any]:
    return {
        "arm": record.job.arm,
        "seed": record.job.seed,
        "values": values,
        "status": record.shown_state,
        "loss": record.outcome.loss,
    }
