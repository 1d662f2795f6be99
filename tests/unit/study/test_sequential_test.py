"""The test of two looks against Pocock's constant and its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lmlab.study.sequential_test import (
    Rule,
    deciding_look,
    nominal_level,
    sequential_p,
    smallest_p_cdf,
)
from lmlab.study.t_test import IndependentRuns, Pairs, t_bound

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
    pairs = Pairs([0.01, 0.02, 0.03, 0.02, 0.01])
    assert sequential_p(pairs, TWO_LOOKS) > sequential_p(pairs, ONE_LOOK)


def test_the_smaller_p_value_of_both_looks_counts() -> None:
    first = [0.01, 0.02, 0.03, 0.02, 0.01]  # a clear difference, which the second look dilutes
    both = Pairs([*first, -0.02, 0.01, -0.03, 0.0, 0.02])
    assert both.estimate().p > both.first(5).estimate().p
    assert sequential_p(both, TWO_LOOKS) == sequential_p(Pairs(first), TWO_LOOKS)


@pytest.mark.parametrize("looks", [(5, 10), (2, 3), (3, 6), (8, 12)])
def test_the_p_value_of_two_looks_is_that_of_a_simulation(looks: tuple[int, int]) -> None:
    rng = np.random.default_rng(11)
    pairs = rng.normal(size=(200_000, looks[1]))
    ps = [stats.ttest_1samp(pairs[:, :number], 0.0, axis=1).pvalue for number in looks]
    smallest = np.minimum(*ps)
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


def test_the_second_look_decides_unless_only_the_first_finds_the_difference() -> None:
    first, added = [0.1, 0.101, 0.1, 0.102, 0.1], [-0.9, 0.8, -0.7, 0.9, -0.8]
    assert deciding_look(Pairs([*first, *added]), TWO_LOOKS, 0.05) == 5
    assert deciding_look(Pairs([*first, *first]), TWO_LOOKS, 0.05) == 10
    assert deciding_look(Pairs(first), TWO_LOOKS, 0.05) == 5


@pytest.mark.parametrize("looks", [(5, 5), (5, 8), (5, 10), (3, 6)])
def test_two_looks_of_independent_runs_keep_the_stated_level(looks: tuple[int, int]) -> None:
    """The level is computed for pairs, so Welch's test is simulated at it."""
    rng, number = np.random.default_rng(13), 100_000
    arm, baseline = rng.normal(size=(2, number, looks[1]))
    rule = Rule(seeds=looks[0], extra_seeds=looks[1] - looks[0])
    ps = [
        stats.ttest_ind(arm[:, :count], baseline[:, :count], axis=1, equal_var=False).pvalue
        for count in rule.looks
    ]
    found = float((np.min(ps, axis=0) <= nominal_level(0.05, rule.looks)).mean())
    assert 0.03 < found <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / number)
    for index in range(3):
        sample = IndependentRuns(list(arm[index]), list(baseline[index]))
        smallest = min(float(p[index]) for p in ps)
        assert sequential_p(sample, rule) == pytest.approx(smallest_p_cdf(smallest, rule.looks))


@pytest.mark.parametrize("looks", [(5, 8, 12), (3, 6, 9, 20)])
def test_the_level_of_several_looks_bounds_their_error_rate(looks: tuple[int, ...]) -> None:
    pairs = np.random.default_rng(9).normal(size=(100_000, looks[-1]))
    for alpha in (0.05, 0.05 / 8):
        level = nominal_level(alpha, looks)
        rejected = np.zeros(len(pairs), dtype=bool)
        for number in looks:
            part = pairs[:, :number]
            t = part.mean(axis=1) / part.std(axis=1, ddof=1) * number**0.5
            rejected |= np.abs(t) >= t_bound(level, number - 1)
        found, error = float(rejected.mean()), (alpha / 100_000) ** 0.5
        assert 0.8 * alpha - 3 * error < found < alpha + 3 * error


def test_earlier_looks_count_as_long_as_they_had_fewer_seeds() -> None:
    assert Rule(10, earlier_looks=(5, 10, 12)).looks == (5, 10)
    assert Rule(5, 3, earlier_looks=(1,)).looks == (5, 8)
    assert Rule(5, 3).extended(16).looks == (5, 8, 16)


def test_pairs_between_two_looks_count() -> None:
    """With one seed of the second look missing, p-value and interval use the same pairs."""
    pairs = [0.1, -0.1, 0.0, 0.1, -0.1, 3.0, 3.0]
    rule = Rule(5, 3)
    sample = Pairs(pairs)
    assert sequential_p(sample, rule) == pytest.approx(
        smallest_p_cdf(min(Pairs(pairs[:5]).estimate().p, sample.estimate().p), rule.looks)
    )


WAVES = Rule(seeds=8, min_seeds=3)


def test_a_sequential_rule_looks_after_every_pair() -> None:
    assert WAVES.looks == WAVES.waves == (3, 4, 5, 6, 7, 8)
    assert Rule(seeds=8).waves == ()
    again = Rule(seeds=10, min_seeds=3, earlier_looks=(2, 5))
    assert again.looks == (2, *range(3, 11)) == again.waves


def test_p_value_and_level_of_a_sequential_rule_are_inverse() -> None:
    for alpha in (0.05, 0.01, 0.05 / 8):
        level = WAVES.nominal_level(alpha)
        assert alpha / 6 < level < alpha
        assert WAVES.overall_p(level) == pytest.approx(alpha, rel=1e-3)


def test_a_sequential_study_that_is_extended_takes_one_more_look() -> None:
    later = WAVES.extended(16)
    assert later.looks == (*range(3, 9), 16) and later.waves == WAVES.looks
    assert later.nominal_level(0.05) < WAVES.nominal_level(0.05)
    assert later.overall_p(later.nominal_level(0.05)) == pytest.approx(0.05, rel=1e-3)
    rng = np.random.default_rng(12)
    pairs = rng.normal(size=(60_000, 16))
    ps = [stats.ttest_1samp(pairs[:, :number], 0.0, axis=1).pvalue for number in later.looks]
    found = np.mean(np.min(ps, axis=0) <= later.nominal_level(0.05))
    assert 0.04 < found <= 0.0535  # a bound, and three standard errors
    assert WAVES.extended(6).looks == WAVES.looks  # fewer seeds than it may take anyway


def test_pairs_before_the_first_look_decide_nothing() -> None:
    assert sequential_p(Pairs([1.0, 1.0]), WAVES) == 1.0
    assert sequential_p(Pairs([1.0, 1.0, 1.0]), WAVES) == 0.0
