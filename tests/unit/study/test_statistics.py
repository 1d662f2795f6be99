"""The statistics against worked examples, independent references, and simulated studies."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmlab.study.statistics import (
    Rule,
    compare,
    holm,
    nominal_level,
    predicted_power,
    seeds_to_decide,
    sequential_p,
    smallest_detectable,
    smallest_p_cdf,
    t_interval,
)

ONE = Rule(seeds=5)
TWO = Rule(seeds=5, extra_seeds=5)


def test_a_worked_example() -> None:
    # Differences 1..5: mean 3, sd sqrt(2.5), t = 3 / (1.5811 / sqrt 5) = 4.2426; the quantile of
    # t with 4 degrees of freedom is 2.7764.
    (found,) = compare([[1, 2, 3, 4, 5]], ONE)
    assert found.difference == 3
    assert found.low == pytest.approx(3 - 2.7764 * 0.70711, abs=1e-3)
    assert found.p == pytest.approx(0.01324, abs=1e-4)
    assert found.verdict == "worse"
    (found,) = compare([[-1, -2, -3, -4, -5]], ONE)
    assert found.verdict == "better"


def test_holm_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01], family=4) == pytest.approx([0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_helps(ps: list[float]) -> None:
    adjusted = holm(ps)
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    reject = _step_down(ps, 0.05)
    assert reject == [q <= 0.05 for q in adjusted]


def _step_down(ps: list[float], alpha: float) -> list[bool]:
    """Holm's procedure as he tells it, step by step."""
    rejected = [False] * len(ps)
    for step, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        if (len(ps) - step) * ps[index] > alpha:
            break
        rejected[index] = True
    return rejected


def test_no_difference_and_too_few_seeds() -> None:
    rule = Rule(seeds=5, margin=0.02)
    (same,) = compare([[0.001, -0.001, 0.002, -0.002, 0.0]], rule)
    assert same.verdict == "no difference"
    assert max(abs(same.low), abs(same.high)) <= 0.02
    (open_one,) = compare([[0.03, -0.03, 0.04, -0.02, 0.05]], rule)
    assert open_one.verdict == "too few seeds"
    assert open_one.more_seeds is not None and open_one.more_seeds > 5
    for pairs in ([], [0.5]):
        (found,) = compare([pairs], rule)
        assert found.verdict == "too few seeds"
        assert found.more_seeds == 5 - len(pairs)


def test_equal_differences_leave_no_doubt() -> None:
    assert compare([[0.0] * 5], ONE)[0].verdict == "no difference"
    assert compare([[0.1] * 5], ONE)[0].verdict == "worse"


def test_a_missing_arm_makes_nothing_easier() -> None:
    pairs = [0.010, 0.014, 0.012, 0.030, 0.011]
    alone, among = compare([pairs], ONE)[0], compare([pairs], ONE, family=8)[0]
    assert among.adjusted_p == pytest.approx(8 * alone.adjusted_p)


def test_two_looks_cost_what_they_should() -> None:
    looks = TWO.looks
    level = nominal_level(0.05, looks)
    # Pocock's constant for two equal looks is 0.0294; t at 4 and 9 degrees lies near it.
    assert 0.026 < level < 0.033
    assert smallest_p_cdf(level, looks) == pytest.approx(0.05, abs=2e-3)
    assert smallest_p_cdf(1e-9, looks) <= 2e-9
    assert nominal_level(0.05, (5,)) == 0.05
    pairs = [0.01, 0.02, 0.03, 0.02, 0.01]
    assert sequential_p(pairs, TWO) > sequential_p(pairs, ONE)
    wide, narrow = t_interval(pairs, TWO), t_interval(pairs, ONE)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_many_seeds_give_pococks_constant() -> None:
    assert nominal_level(0.05, (200, 400)) == pytest.approx(0.0294, abs=0.0015)


@pytest.mark.parametrize("rule", [ONE, Rule(seeds=8), Rule(seeds=5, extra_seeds=1)])
def test_power_of_one_look_is_the_noncentral_t(rule: Rule) -> None:
    for effect in (0.5, 1.0, 2.0):
        n = rule.looks[-1]
        bound = stats.t.isf(0.025, n - 1)
        exact = stats.nct.sf(bound, n - 1, effect * math.sqrt(n))
        tolerance = 0.012 if len(rule.looks) == 1 else 0.05
        assert predicted_power(effect, 1.0, rule) == pytest.approx(exact, abs=tolerance)


def test_the_smallest_detectable_difference_has_the_power() -> None:
    for rule, family in ((ONE, 1), (TWO, 1), (ONE, 8)):
        found = smallest_detectable(0.01, rule, family)
        assert predicted_power(found, 0.01, rule, family) == pytest.approx(0.8, abs=0.01)
    assert smallest_detectable(0.01, TWO) < smallest_detectable(0.01, ONE)
    assert smallest_detectable(0.0, ONE) == 0


def test_seeds_to_decide() -> None:
    # Cohen's d = 1, two-sided 5 %, power 0.8: ten pairs (tables of the paired t test).
    assert seeds_to_decide(1.0, 1.0, Rule(seeds=5, margin=1e-9)) == 10
    # Nothing there and sd 0.01: the half-width falls to 0.02 at t(n-1) / sqrt n <= 2, n = 4.
    assert seeds_to_decide(0.0, 0.01, Rule(seeds=5, margin=0.02)) == 4
    # Eight arms: power 0.8 at level 0.05 / 8 takes 17 pairs, as the noncentral t has it.
    bound, power = stats.t(16).isf(0.05 / 16), stats.nct(16, math.sqrt(17)).sf
    assert power(bound) >= 0.8 > stats.nct(15, 4.0).sf(stats.t(15).isf(0.05 / 16))
    assert seeds_to_decide(1.0, 1.0, Rule(seeds=5, margin=1e-9), family=8) == 17


def test_the_vectorised_rule_of_the_plan_is_the_rule_of_the_verdict() -> None:
    """Simulate the whole rule slowly, one study at a time, and compare with the prediction."""
    chance = np.random.default_rng(7)
    rule, effect, sd, repeats = TWO, 0.012, 0.01, 1500
    found = 0
    for _ in range(repeats):
        pairs = list(chance.normal(effect, sd, 5))
        verdict = compare([pairs], rule)[0].verdict
        if verdict == "too few seeds":
            pairs += list(chance.normal(effect, sd, 5))
            verdict = compare([pairs], rule)[0].verdict
        found += verdict == "worse"
    expected = predicted_power(effect, sd, rule)
    error = math.sqrt(expected * (1 - expected) / repeats)
    assert abs(found / repeats - expected) < 3 * error + 0.005
