"""The results of an isoFLOP study as its analysis takes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from lmlab.design.ladder import MIN_SIZES, cell_name
from lmlab.design.met_budgets import budget_of, off_budget
from lmlab.study.ladders.isoflop import IsoflopResult, analyse_isoflop
from lmlab.study.ladders.isoflop_curves import Budget
from lmlab.study.ladders.ladder_facts import LadderFacts

Costs = Mapping[str, Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class CompleteBudgets:
    """The runs of the complete budgets, and what is not part of them.

    Attributes:
        budgets: those that have a curve, by their rung, counted from 0.
        left_out: cells without a place on the curve of their budget, each with the reason.
        without_curve: complete budgets that have none, by their rung, each with the reason.
    """

    budgets: Mapping[int, Budget]
    left_out: Mapping[str, str]
    without_curve: Mapping[int, str]


def complete_budgets(facts: LadderFacts, arm_costs: Costs) -> CompleteBudgets:
    """Return the runs of the complete budgets.

    Left out are sizes that lack a final loss, because their runs diverged, and sizes whose whole
    steps miss the budget by more than 5%: they would be compared at another compute. A budget with
    fewer than three sizes has no curve.

    Args:
        facts: results of the study.
        arm_costs: what ``facts.json`` holds, by cell.
    """
    budgets: dict[int, Budget] = {}
    left_out: dict[str, str] = {}
    without: dict[int, str] = {}
    compute = budget_flops(facts)
    for rung in range(facts.num_complete):
        flops = {arm: facts.flops[arm][rung] for arm in facts.ladder.arms}
        off = off_budget(flops, compute[rung])
        sizes = []
        for arm, cells in facts.cells.items():
            name = cell_name(rung, arm)
            cost, losses = arm_costs.get(name), cells[rung].losses
            if arm in off:
                left_out[name] = f"its whole steps give {off[arm]:.3g} times the budget"
            elif not losses:
                left_out[name] = "no run has a final loss"
            elif cost is not None:
                sizes.append((float(cost["parameters"]), float(cost["tokens"]), losses))
        if len(sizes) < MIN_SIZES:
            without[rung] = f"{len(sizes)} sizes have a place on it, and a parabola takes three"
            continue
        parameters, tokens, by_seed = zip(*sorted(sizes, key=lambda one: one[0]), strict=True)
        try:
            budgets[rung] = Budget(compute[rung], parameters, tokens, by_seed)
        except ValueError:
            without[rung] = "a larger size must be trained on fewer tokens"
    return CompleteBudgets(budgets, left_out, without)


def budget_flops(facts: LadderFacts) -> list[float]:
    """Return the compute of each budget, in FLOPs."""
    return [
        budget_of(one, {arm: facts.flops[arm][rung] for arm in facts.ladder.arms})
        for rung, one in enumerate(facts.ladder.rungs)
    ]


def analyse_budgets(facts: LadderFacts, arm_costs: Costs) -> IsoflopResult | None:
    """Return what the complete budgets show; None where they show nothing.

    Args:
        facts: results of the study.
        arm_costs: what ``facts.json`` holds, by cell.
    """
    found = complete_budgets(facts, arm_costs)
    return analyse_known(facts, list(found.budgets.values()))


def analyse_known(facts: LadderFacts, budgets: Sequence[Budget]) -> IsoflopResult | None:
    """Return what budgets show; None without any, and where nothing tells the noise."""
    if not budgets:
        return None
    try:
        return analyse_isoflop(budgets, facts.ladder.alpha, facts.ladder.entropy)
    except ValueError:
        return None
