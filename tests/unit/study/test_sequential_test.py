"""The test of two looks against Pocock's constant and its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lmlab.study.sequential_test import (
    Rule,
    nominal_level,
    p_values,
    paired_p,
    sequential_p,
    smallest_p_cdf,
)

ONE_LOOK = Rule(seeds=5)
TWO_LOOKS = Rule(seeds=5, extra_seeds=5)


def test_the_level_of_two_small_looks_is_near_pococks() -> None:
    looks = TWO_LOOKS.looks
    level = nominal_level(0.05, looks)
    # Pocock's constant for two equal looks is 0.0294; t at 4 and 9 degrees of freedom is close.
    assert 0.026 < level < 0.033
    assert smallest_p_cdf(level, looks) == pytest.approx(0.05, abs=2e-3)


def test_many_seeds_give_pococks_constant() -> None:
    assert nominal_level(0.05, (200, 400)) == pytest.approx(0.0294, abs=0.0015)


def test_one_look_costs_nothing() -> None:
    assert nominal_level(0.05, (5,)) == 0.05
    assert smallest_p_cdf(0.03, (5,)) == 0.03


@pytest.mark.parametrize("p", [1e-9, 0.001, 0.04, 0.7, 1.0])
def test_bonferroni_bounds_the_p_value_of_two_looks(p: float) -> None:
    assert p <= smallest_p_cdf(p, TWO_LOOKS.looks) <= min(2 * p, 1.0)


def test_a_second_look_raises_the_p_value() -> None:
    pairs = [0.01, 0.02, 0.03, 0.02, 0.01]
    assert sequential_p(pairs, TWO_LOOKS) > sequential_p(pairs, ONE_LOOK)


def test_the_smaller_p_value_of_both_looks_counts() -> None:
    first = [0.01, 0.02, 0.03, 0.02, 0.01]  # a clear difference, which the second look dilutes
    both = [*first, -0.02, 0.01, -0.03, 0.0, 0.02]
    assert paired_p(both) > paired_p(first)
    assert sequential_p(both, TWO_LOOKS) == sequential_p(first, TWO_LOOKS)


def test_p_values_are_those_of_scipy() -> None:
    pairs = np.random.default_rng(3).normal(0.3, 1.0, (50, 6))
    expected = stats.ttest_1samp(pairs, 0.0, axis=1).pvalue
    np.testing.assert_allclose(p_values(pairs), expected, rtol=1e-10)
    assert paired_p(list(pairs[0])) == pytest.approx(expected[0])


def test_equal_differences_have_a_p_value_of_zero_or_one() -> None:
    assert paired_p([0.0, 0.0, 0.0]) == 1.0
    assert paired_p([0.1, 0.1, 0.1]) == 0.0


@pytest.mark.parametrize("looks", [(5, 10), (2, 3), (3, 6), (8, 12)])
def test_the_p_value_of_two_looks_is_that_of_a_simulation(looks: tuple[int, int]) -> None:
    rng = np.random.default_rng(11)
    pairs = rng.normal(size=(200_000, looks[1]))
    smallest = np.minimum(p_values(pairs[:, : looks[0]]), p_values(pairs))
    for p in (0.003, 0.01, 0.05, 0.3, 0.9):
        simulated = float((smallest <= p).mean())
        error = np.sqrt(simulated * (1 - simulated) / len(pairs))
        assert abs(smallest_p_cdf(p, looks) - simulated) < 4 * error + 1e-4
    assert smallest_p_cdf(nominal_level(0.05, looks), looks) == pytest.approx(0.05, rel=1e-4)


def test_a_tiny_p_value_of_two_looks_pays_for_both() -> None:
    """The looks become independent as p falls, so that the p-value approaches twice the smaller."""
    for p in (1e-6, 1e-9, 1e-30):
        assert 1.9 < smallest_p_cdf(p, (5, 10)) / p <= 2
    for alpha in (0.05 / 8, 1e-4, 1e-6):
        assert smallest_p_cdf(nominal_level(alpha, (5, 10)), (5, 10)) == pytest.approx(
            alpha, rel=1e-3
        )
