"""Whether the best learning rate of a small model serves a large one: a sentence for each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.design.ladder import FIXED
from lmlab.design.ladder_runs import LOWEST_RATE
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.wording import factor_text, interval_text, nats_interval, rung_name
from lmlab.study.ladders.rate_law import Drift
from lmlab.study.statistics import level_name

STAYS, MOVES, UNCLEAR = "stays", "moves", "cannot tell"


def certificate_rows(
    found: LadderStudy, regrets: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return what a ladder certifies that trains its highest rung at the rate of its lowest.

    A rate **stays** where the interval of its drift contains 1 and at most ``design.loss_margin``
    is lost at the highest rung; it **moves** where the interval excludes 1.

    Args:
        found: the ladder.
        regrets: its rows of :func:`lmlab.study.ladder_report.rate_rows.regret_rows`.

    Returns:
        For each arm but the replicate, ``arm``, ``state`` (``stays``, ``moves`` or ``cannot
        tell``), whether the interval of the drift ``contains_one`` (None without a drift), and a
        ``sentence``. Empty for a ladder without such runs.
    """
    ladder = found.ladder
    if not ladder.at_lowest_lr or ladder.lr == FIXED:
        return []
    by_arm = {row["arm"]: row for row in regrets if row["evidence"] == LOWEST_RATE}
    return [_row(found, arm, by_arm.get(arm)) for arm in ladder.arms]


def _row(found: LadderStudy, arm: str, regret: Mapping[str, Any] | None) -> dict[str, Any]:
    law = found.facts.rates.drift_laws.get(arm)
    drift = None if law is None else law.drift(found.ladder.alpha)
    contains_one = None if drift is None else not drift.is_significant
    costs_little = _costs_little(found, arm, regret)
    state = MOVES if contains_one is False else UNCLEAR
    if contains_one and costs_little:
        state = STAYS
    parts = [part for part in (_drift(found, drift), _regret(found, arm, regret)) if part]
    verdict = {
        STAYS: f"the best learning rate of {rung_name(0)} serves {_top(found)}",
        MOVES: "the best learning rate moves",
        UNCLEAR: "cannot tell whether the best learning rate stays",
    }[state]
    return {
        "arm": arm,
        "state": state,
        "contains_one": contains_one,
        "sentence": f"{arm}: {verdict}: {'; '.join(parts)}.",
    }


def _top(found: LadderStudy) -> str:
    return rung_name(len(found.ladder.rungs) - 1)


def _rates(found: LadderStudy, arm: str) -> tuple[float | None, float | None]:
    """Return the judged rates of the lowest and the highest rung."""
    cells = found.facts.cells[arm]
    return cells[0].rate, cells[-1].rate


def _costs_little(found: LadderStudy, arm: str, regret: Mapping[str, Any] | None) -> bool:
    """Return whether at most the margin is lost at the rate of the lowest rung."""
    lowest, highest = _rates(found, arm)
    if lowest is not None and lowest == highest:
        return True
    high = None if regret is None else regret["high"]
    return high is not None and high <= found.ladder.loss_margin


def _drift(found: LadderStudy, drift: Drift | None) -> str:
    if drift is None:
        return "the drift is not known before the search has finished on two sizes"
    axis, level = found.facts.rates.axis, level_name(1 - found.ladder.alpha)
    ends = interval_text(drift.low or None, drift.high)
    return (
        f"it changes by a factor of {factor_text(drift.factor)} per doubling of {axis.doubling} "
        f"({level} interval {ends}, which {'excludes' if drift.is_significant else 'contains'} 1)"
    )


def _regret(found: LadderStudy, arm: str, regret: Mapping[str, Any] | None) -> str:
    lowest, highest = _rates(found, arm)
    if lowest is None or highest is None:
        return ""
    if lowest == highest:
        return f"{_top(found)} has the same best rate, {highest:g}"
    if regret is None:
        return f"the runs of {_top(found)} at the best rate of {rung_name(0)} are not finished"
    return (
        f"at the best rate of {rung_name(0)}, {lowest:g}, {_top(found)} loses "
        f"{regret['nats']:.4f} nats per token ({nats_interval(regret)}) against its own, "
        f"{highest:g}"
    )
