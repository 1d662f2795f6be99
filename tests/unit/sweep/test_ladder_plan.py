"""The plan of a ladder: its rungs, passes over the text, runs and time."""

from __future__ import annotations

import dataclasses

import pytest

from lmlab.design.fairness import ArmCosts
from lmlab.design.ladder import Ladder
from lmlab.errors import ConfigError
from lmlab.sweep.ladder_plan import describe_budgets, describe_rungs, make_ladder_plan
from tests.support.ladders import a_ladder, a_ladder_manifest, finish_ladder, some_rungs


def costs_of(ladder: Ladder) -> dict[str, ArmCosts]:
    """Costs of the cells, with a batch of 16 sequences of 32 tokens."""
    return {
        cell: ArmCosts(
            rung.parameters, 1, rung.tokens, rung.tokens // 512, 16, 32, 1, 1, "", "", None
        )
        for cell, (number, _) in ladder.cells.items()
        for rung in [ladder.rungs[number]]
    }


def test_the_table_names_sizes_and_passes() -> None:
    ladder = a_ladder(num_seeds=[5, 3, 3, 2])
    lines = describe_rungs(ladder, costs_of(ladder), train_tokens=10**7)
    highest = lines[4].split()
    assert highest[0] == "r4" and "5,400,000" in highest and "1.00e+13" in highest
    assert highest[-2:] == ["0.54", "2"]
    assert any("sealed before" in line for line in lines)


def test_passes_over_the_text_are_warned_of_and_limited() -> None:
    ladder = a_ladder()
    lines = describe_rungs(ladder, costs_of(ladder), train_tokens=2 * 10**6)
    assert any("rung r4 reads the training text 2.70 times" in line for line in lines)
    with pytest.raises(ConfigError, match=r"r4 reads the training text 5.4 times; .* most 4"):
        describe_rungs(ladder, costs_of(ladder), train_tokens=10**6)


def test_budgets_show_the_tokens_of_every_size() -> None:
    sizes = {f"w{width}": [f"model.d_model={width}"] for width in (16, 32, 48)}
    ladder = a_ladder(analysis="isoflop", arms=sizes, baseline="w32", sealed=False)
    costs = costs_of(ladder)
    costs["r4-w16"] = dataclasses.replace(costs["r4-w16"], tokens=3 * 10**7)
    lines = describe_budgets(ladder, costs, train_tokens=10**7)
    assert lines[1].split() == ["w16", "30,000", "200,000", "600,000", "1,800,000", "30,000,000"]
    assert any("r4-w16 reads the training text 3.00 times" in line for line in lines)
    (missed,) = [line for line in lines if line.startswith("warning: left out of the analysis")]
    assert "budget by more than 5%: r4-w16; raise ladder.flops" in missed


def test_the_plan_counts_the_runs_that_a_ladder_without_surprises_needs() -> None:
    for changes in ({"lr": "fixed"}, {"lr": "fixed", "replicate": "again"}):
        ladder = a_ladder(**changes)
        plan = make_ladder_plan(ladder, [1.0] * 8, slots=2)
        jobs = finish_ladder(a_ladder_manifest(ladder))
        assert plan.least_runs == len(jobs)
        assert plan.seconds == pytest.approx(len(jobs) / 2)


def test_searches_count_on_the_rungs_that_search_and_brackets_on_the_highest() -> None:
    ladder = a_ladder(lr="transfer", search_rungs=2, num_tuning_seeds=1)
    seconds = [float(k) for k, _ in enumerate(some_rungs(), 1) for _ in ladder.arms]
    plan = make_ladder_plan(ladder, seconds, slots=1)
    assert plan.least_runs == 2 * (2 * (5 + 3) + 2 * 3 + 2)
    assert plan.seconds == pytest.approx(2 * ((5 + 3) * (1 + 2) + 3 * (3 + 4) + 2 * 4))
    assert make_ladder_plan(ladder, None, slots=1).seconds is None
