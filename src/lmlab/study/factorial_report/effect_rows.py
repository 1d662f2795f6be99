"""The effects of a factorial study as plain values, with their verdicts in words."""

from __future__ import annotations

import math
from typing import Any

from lmlab.design.two_level import Effect, members, order
from lmlab.study.factorial_report.factorial_study import FactorialStudy
from lmlab.study.factorials.effects import EstimatedEffect, simple_effects
from lmlab.study.factorials.lenth import is_far
from lmlab.study.hypothesis_test import mean_and_sd
from lmlab.study.power import MAX_SEEDS
from lmlab.study.run_section import finite
from lmlab.study.statistics import INCONCLUSIVE, level_name

NO_VERDICT, STANDS_OUT = "no verdict", "stands out"
_WORDS = {
    "better": ("lowers the loss", "better together"),
    "worse": ("raises the loss", "worse together"),
}
_MOST_ALIASES = 3  # shown by name


def effect_rows(found: FactorialStudy) -> list[dict[str, Any]]:
    """Return one row per effect, those of low order first.

    Returns:
        ``name``, ``order``, ``factors``, ``aliases``, ``estimate``, ``contrasts`` by seed; of main
        effects and two-factor interactions also ``low``, ``high``, ``confidence``, ``p``,
        ``adjusted_p``, ``verdict`` (as in other studies), ``shown`` (in words) and ``detail``; of
        interactions the ``simple`` effects.
    """
    return [_row(found, one) for one in found.effects]


def _row(found: FactorialStudy, one: EstimatedEffect) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": found.design.label(one.effect),
        "order": order(one.effect),
        "factors": [found.design.names[factor] for factor in members(one.effect)],
        "aliases": aliases_text(found, one.effect),
        "estimate": one.estimate,
        "contrasts": list(one.contrasts),
        "stands_out": is_far(one.estimate, found.lenth),
        "low": None, "high": None, "confidence": "", "p": None, "adjusted_p": None,
        "verdict": NO_VERDICT, "shown": "", "detail": "", "simple": [],
    }  # fmt: skip
    comparison = one.comparison
    if comparison is None:
        return row
    if one.is_interaction:
        row["simple"] = _simple_rows(found, one.effect)
    if len(one.contrasts) < 2:
        row["shown"] = STANDS_OUT if row["stands_out"] else ""
        return row
    row |= {
        "low": finite(comparison.low),
        "high": finite(comparison.high),
        "confidence": level_name(comparison.confidence or 0.0),
    }
    if found.lost:
        return row | {"shown": NO_VERDICT, "detail": "seeds of a cell are lost"}
    words = _WORDS.get(comparison.verdict)
    shown, detail = comparison.verdict, ""
    if words is not None:
        shown = words[one.is_interaction]
    elif comparison.verdict == INCONCLUSIVE:
        detail = _seeds_needed(comparison.seeds, comparison.more_seeds)
    else:
        kind = "interaction" if one.is_interaction else "effect"
        shown = f"no {kind} larger than {max(comparison.bound, 1e-4):.4f}"
    return row | {
        "p": comparison.p, "adjusted_p": comparison.adjusted_p, "verdict": comparison.verdict,
        "shown": shown, "detail": detail,
    }  # fmt: skip


def _seeds_needed(seeds: int, more: int | None) -> str:
    if more is None:
        return ""
    if seeds + more >= MAX_SEEDS:
        return f"more than {MAX_SEEDS:,} seeds needed"
    return f"about {more} more {'seed' if more == 1 else 'seeds'} needed"


def _simple_rows(found: FactorialStudy, effect: Effect) -> list[dict[str, Any]]:
    """Return the effect of each of two factors where the other one is off and where it is on."""
    cells = list(found.losses.values())
    first, second = members(effect)
    names = found.design.names
    rows = []
    for factor, other in ((first, second), (second, first)):
        off, on = simple_effects(found.design, cells, factor, other)
        rows.append({
            "factor": names[factor], "other": names[other],
            "off": math.fsum(off) / len(off), "on": math.fsum(on) / len(on),
            "off_error": _error(off), "on_error": _error(on),
        })  # fmt: skip
    return rows


def _error(values: list[float]) -> float | None:
    """Return the standard error of a mean over seeds; None for one seed."""
    return mean_and_sd(values)[1] / math.sqrt(len(values)) if len(values) > 1 else None


def aliases_text(found: FactorialStudy, effect: Effect) -> str:
    """Return the aliases of an effect of lowest order: ``-a x b x c and higher``; empty if none."""
    aliases = found.design.aliases(effect)
    if not aliases:
        return ""
    lowest = min(map(order, aliases))
    named = [
        f"{'-' if sign < 0 else ''}{found.design.label(alias)}"
        for alias, sign in aliases.items()
        if order(alias) == lowest
    ]
    shown = named[:_MOST_ALIASES]
    rest = len(aliases) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def interaction_panels(found: FactorialStudy) -> list[dict[str, Any]]:
    """Return the mean losses at the four combinations of each pair of factors, averaged over all
    others; the strongest interaction first.
    """
    if not found.seeds:
        return []
    names, panels = found.design.names, []
    means = {
        cell: math.fsum(losses[seed] for seed in found.seeds) / len(found.seeds)
        for cell, losses in found.losses.items()
    }
    rows = {row["name"]: row for row in effect_rows(found)}
    for effect in found.design.effects:
        if order(effect) != 2:
            continue
        first, second = members(effect)
        corners = [[0.0, 0.0], [0.0, 0.0]]
        for on_first in (False, True):
            for on_second in (False, True):
                inside = [
                    means[cell]
                    for cell, run in found.factorial.cells.items()
                    if run[first] == on_first and run[second] == on_second
                ]
                corners[on_second][on_first] = math.fsum(inside) / len(inside)
        row = rows[found.design.label(effect)]
        panels.append({
            "x": names[first], "lines": names[second], "off": corners[0], "on": corners[1],
            "estimate": row["estimate"], "shown": row["shown"],
        })  # fmt: skip
    return sorted(panels, key=lambda panel: -abs(panel["estimate"]))
