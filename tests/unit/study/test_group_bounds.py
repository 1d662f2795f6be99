"""Exact bounds of repeated t tests: against simulated studies and other integrals."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy import special

from lmlab.study.group_bounds import crossing_probability, overall_p, shared_level
from lmlab.study.sequential_test import smallest_p_cdf

WAVES = tuple(range(3, 9))
STUDIES = 100_000


@functools.cache
def simulated_ps(number: int) -> dict[int, np.ndarray]:
    """P-values of simulated studies without a difference, by number of pairs."""
    pairs = np.random.default_rng(6).normal(size=(STUDIES, number))
    found = {}
    for one in range(2, number + 1):
        t = pairs[:, :one].mean(axis=1) / pairs[:, :one].std(axis=1, ddof=1) * np.sqrt(one)
        found[one] = 2 * special.stdtr(one - 1, -np.abs(t))
    return found


@pytest.mark.parametrize("looks", [(3, 4), (2, 3), (5, 8), (5, 10)])
@pytest.mark.parametrize("level", [0.2, 0.02, 0.003])
def test_two_looks_agree_with_the_integral_over_the_mean(looks, level):
    expected = smallest_p_cdf(level, looks)  # quasi-Monte Carlo over chi and normal variables
    assert crossing_probability((level, level), looks) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("level", [0.5, 0.1, 0.01])
def test_looks_after_every_pair_agree_with_simulated_studies(level):
    ps = simulated_ps(8)
    share = np.mean(np.min([ps[number] for number in WAVES], axis=0) <= level)
    error = np.sqrt(share * (1 - share) / STUDIES)
    assert crossing_probability((level,) * 6, WAVES) == pytest.approx(share, abs=3.5 * error)


def test_levels_of_looks_may_differ():
    looks, levels = (2, 4, 7), (0.004, 0.02, 0.04)
    ps = simulated_ps(8)
    is_found = [ps[number] <= level for number, level in zip(looks, levels, strict=True)]
    share = np.any(is_found, axis=0).mean()
    error = np.sqrt(share * (1 - share) / STUDIES)
    assert crossing_probability(levels, looks) == pytest.approx(share, abs=3.5 * error)


def test_one_look_costs_nothing():
    assert crossing_probability((0.03,), (5,)) == 0.03
    assert overall_p(0.03, (5,)) == 0.03 and shared_level(0.03, (5,)) == 0.03


def test_level_and_p_value_are_inverse():
    for alpha in (0.2, 0.05, 0.05 / 8, 1e-4, 1e-9):
        level = shared_level(alpha, WAVES)
        assert alpha / len(WAVES) <= level < alpha
        assert overall_p(level, WAVES) == pytest.approx(alpha, rel=1e-4)


def test_the_curve_goes_through_the_exact_probabilities():
    for level in (0.5, 0.03, 0.0007, 3e-5):
        exact = crossing_probability((level,) * len(WAVES), WAVES)
        assert overall_p(level, WAVES) == pytest.approx(exact, rel=2e-3)


def test_p_values_rise_with_the_smallest_one_from_zero_to_one():
    ps = [overall_p(p, WAVES) for p in [0.0, *np.geomspace(1e-12, 1.0, 60)]]
    assert ps[0] == 0.0 and ps[-1] == 1.0 and np.all(np.diff(ps) >= 0)
    assert ps[1] == pytest.approx(6e-12)


def test_a_further_look_costs_something():
    levels = [shared_level(0.05, tuple(range(3, last))) for last in (4, 6, 9)]
    assert levels[0] == 0.05 > levels[1] > levels[2]
