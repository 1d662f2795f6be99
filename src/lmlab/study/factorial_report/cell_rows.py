"""The cells of a factorial study as plain values: rates, losses, and one part at a time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from lmlab.study.factorial_report.factorial_study import FactorialStudy
from lmlab.study.statistics import level_name
from lmlab.study.t_test import Pairs

SEARCHED, PREDICTED, CONFIGURED = "searched", "predicted", "configured"


def cell_rows(found: FactorialStudy) -> list[dict[str, Any]]:
    """Return one row per cell, that with the lowest mean loss first."""
    factorial, rows = found.factorial, []
    base = found.losses[factorial.comparison.baseline or ""]
    searched = factorial.searched_cells
    for cell, run in factorial.cells.items():
        losses = found.losses[cell]
        shared = [seed for seed in losses if seed in base]
        origin = SEARCHED if cell in searched else CONFIGURED
        rows.append({
            "cell": cell,
            "on": list(run),
            "rate": found.manifest.judged_lr(cell, found.study.outcomes),
            "origin": PREDICTED if factorial.predicts(cell) else origin,
            "seeds": len(losses),
            "mean": statistics.fmean(losses.values()) if losses else None,
            "sd": statistics.stdev(losses.values()) if len(losses) > 1 else None,
            "difference": statistics.fmean(losses[s] - base[s] for s in shared) if shared else None,
            "is_baseline": not any(run),
            "lost": found.lost.get(cell, {}),
            "is_untrainable": cell in found.untrainable,
        })  # fmt: skip
    return sorted(rows, key=lambda row: math.inf if row["mean"] is None else row["mean"])


def single_rows(found: FactorialStudy) -> list[dict[str, Any]]:
    """Return what each factor does alone, on average, and beside all others; empty if unknown.

    ``alone`` is the verdict that a study of one part at a time gives from the same runs.
    """
    alone = found.one_at_a_time
    if alone is None:
        return []
    effects = {one.effect: one for one in found.effects}
    rows = []
    for factor, comparison in alone.alone.items():
        rows.append({
            "factor": found.design.names[factor],
            "alone": comparison.difference,
            "low": comparison.low,
            "high": comparison.high,
            "confidence": level_name(comparison.confidence or 0.0),
            "verdict": comparison.verdict,
            "average": effects[1 << factor].estimate,
            "beside_all": _beside_all(found, factor),
            "is_kept": factor in alone.kept,
        })  # fmt: skip
    return rows


def _beside_all(found: FactorialStudy, factor: int) -> float | None:
    """Return what a factor adds to all others; None where the design lacks one of the cells."""
    number = len(found.design.names)
    places = {run: cell for cell, run in found.factorial.cells.items()}
    whole = places.get((True,) * number)
    without = places.get(tuple(other != factor for other in range(number)))
    if whole is None or without is None:
        return None
    with_all, others = found.losses[whole], found.losses[without]
    return statistics.fmean(with_all[seed] - others[seed] for seed in found.seeds)


def kept_sum(found: FactorialStudy) -> dict[str, Any] | None:
    """Return what the parts that were kept one at a time promise together, and what they give.

    Returns:
        ``factors``, ``promised`` and ``given``, each with its interval at 1 - alpha, and the
        ``gap`` between them; None with fewer than two such parts, or without a cell that has them.
    """
    alone = found.one_at_a_time
    if alone is None or len(alone.kept) < 2 or not alone.found:
        return None
    gaps = [a - b for a, b in zip(alone.found, alone.promised, strict=True)]
    level = found.factorial.alpha
    return {
        "factors": [found.design.names[factor] for factor in alone.kept],
        "promised": _interval(alone.promised, level),
        "given": _interval(alone.found, level),
        "gap": _interval(gaps, level),
    }


def _interval(values: Sequence[float], level: float) -> list[float]:
    estimate = Pairs(values).estimate()
    return [estimate.difference, *estimate.interval(level)]
