"""The results of an isoFLOP study as its analysis takes them."""

from __future__ import annotations

from collections.abc import Mapping

from lmlab.design.ladder import cell_name
from lmlab.study.isoflop import IsoflopResult, analyse_isoflop
from lmlab.study.isoflop_curves import Budget
from lmlab.study.ladder_facts import LadderFacts

_MIN_SIZES = 3  # of a parabola


def analyse_budgets(
    facts: LadderFacts, arm_costs: Mapping[str, Mapping[str, float]]
) -> IsoflopResult | None:
    """Return what the complete budgets show; None before one is complete.

    Sizes that lack a final loss, because their runs diverged, are left out; a budget with fewer
    than three sizes is, too.

    Args:
        facts: results of the study.
        arm_costs: what ``facts.json`` holds, by cell.
    """
    budgets = []
    for rung in range(facts.num_complete):
        sizes = []
        for arm, cells in facts.cells.items():
            cost, losses = arm_costs.get(cell_name(rung, arm)), cells[rung].losses
            if cost is not None and losses:
                sizes.append((float(cost["parameters"]), float(cost["tokens"]), losses))
        if len(sizes) >= _MIN_SIZES:
            parameters, tokens, by_seed = zip(*sorted(sizes, key=lambda one: one[0]), strict=True)
            flops = float(facts.ladder.rungs[rung].flops)
            budgets.append(Budget(flops, parameters, tokens, by_seed))
    if not budgets:
        return None
    return analyse_isoflop(budgets, facts.ladder.alpha, facts.ladder.entropy)
