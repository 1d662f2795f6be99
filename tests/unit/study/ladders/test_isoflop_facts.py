"""Which runs of an isoFLOP study are on the curve of their budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.study.ladders.isoflop_facts import analyse_budgets, budget_flops, complete_budgets
from lmlab.study.ladders.ladder_facts import LadderFacts, ladder_facts
from lmlab.study.run_records import load_study
from tests.support.isoflop_folders import SIZES, isoflop_ladder, write_isoflop


def _facts(root: Path, ladder: Any = None, **how: Any) -> tuple[LadderFacts, Any]:
    study = load_study(write_isoflop(root, ladder, **how))
    assert study.manifest is not None
    return ladder_facts(study.manifest, study.outcomes, study.arm_costs), study.arm_costs


def test_sizes_off_their_budget_and_lost_ones_are_left_out(tmp_path: Path) -> None:
    facts, costs = _facts(
        tmp_path,
        isoflop_ladder(SIZES[:5], 2),
        off=lambda rung, size: {SIZES[0]: 1.06, SIZES[1]: 1.04}.get(size, 1.0),
        status=lambda job: "diverged" if job.arm == f"r2-n{SIZES[4]}" else "done",
    )
    found = complete_budgets(facts, costs)
    assert found.left_out == {
        f"r1-n{SIZES[0]}": "its whole steps give 1.06 times the budget",
        f"r2-n{SIZES[0]}": "its whole steps give 1.06 times the budget",
        f"r2-n{SIZES[4]}": "no run has a final loss",
    }
    assert [len(one.parameters) for one in found.budgets.values()] == [4, 3]


def test_too_few_sizes_give_no_curve(tmp_path: Path) -> None:
    facts, costs = _facts(
        tmp_path, isoflop_ladder(SIZES[:3], 2), off=lambda rung, size: 1 + 0.1 * (rung == 0)
    )
    found = complete_budgets(facts, costs)
    assert list(found.budgets) == [1] and "0 sizes have a place on it" in found.without_curve[0]
    result = analyse_budgets(facts, costs)
    assert result is not None and len(result.optima) == 1


def test_sizes_that_do_not_trade_parameters_for_tokens_give_no_curve(tmp_path: Path) -> None:
    facts, costs = _facts(tmp_path, isoflop_ladder(SIZES[:3], 2))
    same = {cell: {**cost, "parameters": 1000} for cell, cost in costs.items()}
    assert complete_budgets(facts, same).budgets == {} and analyse_budgets(facts, same) is None


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_budget_is_what_was_declared_or_the_median_of_its_sizes(
    tmp_path: Path, is_declared: bool
) -> None:
    ladder = isoflop_ladder(SIZES[:3], 2, is_declared=is_declared)
    facts, costs = _facts(tmp_path, ladder, off=lambda rung, size: 0.97)
    expected = 1.0 if is_declared else 0.97
    assert budget_flops(facts) == pytest.approx([4e11 * expected, 1.6e12 * expected], rel=1e-4)
    assert not complete_budgets(facts, costs).left_out
