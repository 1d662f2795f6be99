"""Predicted power and numbers of seeds against the noncentral t distribution and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lmlab.study.power import predicted_power, seeds_to_decide, smallest_detectable
from lmlab.study.sequential_test import Rule
from lmlab.study.statistics import compare

ONE_LOOK = Rule(seeds=5)
TWO_LOOKS = Rule(seeds=5, extra_seeds=5)


@pytest.mark.parametrize("rule", [ONE_LOOK, Rule(seeds=8), Rule(seeds=5, extra_seeds=1)])
def test_power_of_one_look_is_the_noncentral_t(rule: Rule) -> None:
    for effect in (0.5, 1.0, 2.0):
        n = rule.looks[-1]
        bound = stats.t.isf(0.025, n - 1)
        exact = stats.nct.sf(bound, n - 1, effect * math.sqrt(n))
        tolerance = 0.012 if len(rule.looks) == 1 else 0.05
        assert predicted_power(effect, 1.0, rule) == pytest.approx(exact, abs=tolerance)


@pytest.mark.parametrize("family", [2, 8])
def test_power_falls_with_the_family_as_holms_first_step_does(family: int) -> None:
    n, effect = 8, 1.5
    exact = stats.nct.sf(stats.t.isf(0.025 / family, n - 1), n - 1, effect * math.sqrt(n))
    found = predicted_power(effect, 1.0, Rule(seeds=n), family)
    assert found == pytest.approx(exact, abs=0.012)


def test_the_smallest_detectable_difference_has_the_power() -> None:
    for rule, family in ((ONE_LOOK, 1), (TWO_LOOKS, 1), (ONE_LOOK, 8)):
        found = smallest_detectable(0.01, rule, family)
        assert predicted_power(found, 0.01, rule, family) == pytest.approx(0.8, abs=0.01)
    assert smallest_detectable(0.01, TWO_LOOKS) < smallest_detectable(0.01, ONE_LOOK)


def test_without_noise_any_difference_is_detectable_and_with_one_seed_none() -> None:
    assert smallest_detectable(0.0, ONE_LOOK) == 0
    assert predicted_power(1e-9, 0.0, ONE_LOOK) == 1
    assert smallest_detectable(0.01, Rule(seeds=1)) == math.inf


def test_seeds_to_decide_matches_published_tables() -> None:
    # Cohen's d = 1, two-sided 5 %, power 0.8: ten pairs (tables of the paired t test).
    assert seeds_to_decide(1.0, 1.0, Rule(seeds=5, margin=1e-9)) == 10
    # No difference and sd 0.01: the half-width falls to 0.02 at t(n-1) / sqrt n <= 2, n = 4.
    assert seeds_to_decide(0.0, 0.01, Rule(seeds=5, margin=0.02)) == 4


def test_seeds_to_decide_grow_with_the_family() -> None:
    # Eight arms: power 0.8 at level 0.05 / 8 takes 17 pairs, by the noncentral t distribution.
    power = stats.nct(16, math.sqrt(17)).sf
    assert power(stats.t(16).isf(0.05 / 16)) >= 0.8
    assert stats.nct(15, 4.0).sf(stats.t(15).isf(0.05 / 16)) < 0.8
    assert seeds_to_decide(1.0, 1.0, Rule(seeds=5, margin=1e-9), family=8) == 17


def test_predicted_power_is_that_of_the_whole_decision_rule() -> None:
    """Simulate the rule slowly, one study at a time, and compare with the vectorised prediction."""
    rng = np.random.default_rng(7)
    rule, effect, sd, repeats = TWO_LOOKS, 0.012, 0.01, 1500
    found = 0
    for _ in range(repeats):
        pairs = list(rng.normal(effect, sd, 5))
        verdict = compare([pairs], rule)[0].verdict
        if verdict == "inconclusive":
            pairs += list(rng.normal(effect, sd, 5))
            verdict = compare([pairs], rule)[0].verdict
        found += verdict == "worse"
    expected = predicted_power(effect, sd, rule)
    error = math.sqrt(expected * (1 - expected) / repeats)
    assert abs(found / repeats - expected) < 3 * error + 0.005
