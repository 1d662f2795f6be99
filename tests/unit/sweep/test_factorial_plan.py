"""The plan of a factorial study: cells, aliases, runs, time, and what it detects."""

from __future__ import annotations

import pytest
from factorial_studies import FACTORS, a_factorial, a_manifest, simulate

from lmlab.study.factorials.effects import contrast_sd
from lmlab.study.power import smallest_detectable
from lmlab.study.sequential_test import Rule
from lmlab.sweep.factorial_plan import (
    describe_aliases,
    describe_factorial,
    describe_factorial_rates,
    make_factorial_plan,
)
from lmlab.sweep.ladder_plan import plan_study

FIVE = {**FACTORS, "e": ["model.ffn=gelu"]}


def test_the_plan_states_the_detectable_effect() -> None:
    lines = describe_factorial(a_factorial(), 0.01, "assumed")
    rule = Rule(seeds=4, margin=0.02)
    expected = smallest_detectable(contrast_sd(0.01, 16), rule, 10)
    assert "2^4, all combinations: 16 cells, 4 seeds each." in lines[0]
    assert f"interaction of {expected:.4f} with probability 80%" in lines[-1]
    assert "over 10 effects" in lines[-1]


def test_one_seed_is_compared_with_all_effects_where_there_are_enough() -> None:
    assert "Lenth" in describe_factorial(a_factorial(num_seeds=1), 0.01, "assumed")[-1]
    two = a_factorial(num_seeds=1, factors={name: FACTORS[name] for name in "ab"})
    assert "use five or more" in describe_factorial(two, 0.01, "assumed")[-1]


def test_aliases_of_low_order_are_listed() -> None:
    assert describe_aliases(a_factorial()) == ["All effects are estimated apart from each other."]
    fifth = describe_aliases(a_factorial(factors=FIVE, fraction=2))
    assert fifth[0] == "Defining relation: I = -a*b*c*d*e."
    assert "estimated apart from each other, if" in fifth[1]
    third = describe_aliases(a_factorial(factors=FIVE, fraction=4))
    assert "a with -b x d, -c x e" in third[1]


def test_the_plan_says_where_rates_come_from() -> None:
    assert "searched in 8 of 16 cells (baseline, a-b," in describe_factorial_rates(a_factorial())
    assert "each cell is searched" in describe_factorial_rates(a_factorial(lr="search"))
    assert "configured" in describe_factorial_rates(a_factorial(lr="fixed"))


def test_the_number_of_runs_is_about_that_of_a_simulated_study() -> None:
    for lr in ("transfer", "search", "fixed"):
        factorial = a_factorial(lr=lr)
        plan = make_factorial_plan(factorial, [10.0] * 16, 2)
        assert plan.least_runs == pytest.approx(len(simulate(factorial)), rel=0.1)
        assert plan.seconds == pytest.approx(plan.least_runs * 10 / 2, rel=0.05)


def test_predicted_cells_save_runs() -> None:
    plans = {lr: plan_study(a_manifest(a_factorial(lr=lr)), 16, None, 2)
             for lr in ("transfer", "search")}  # fmt: skip
    assert plans["transfer"].least_runs < 0.75 * plans["search"].least_runs
    assert plans["transfer"].seconds is None
