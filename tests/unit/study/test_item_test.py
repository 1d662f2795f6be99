"""The test on tasks whose items are a sample: against slow obvious versions and simulations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from simulated_task_verdicts import LEVELS, Case, found_shares, limit

from lmlab.study.item_test import (
    IndependentItemRuns,
    ItemPairs,
    half_width,
    mean_squares,
    variance_parts,
)
from lmlab.study.t_test import IndependentRuns, Pairs

Array = np.ndarray[Any, Any]


def a_layout(seeds: int, items: int, *, seed_sd: float, item_sd: float, number: int = 1) -> Array:
    chance = np.random.default_rng(number)
    values: Array = chance.normal(size=(seeds, items)) + 0.4
    return (
        values
        + chance.normal(0, seed_sd, (seeds, 1))
        + chance.normal(0, item_sd, (1, items))
    )  # fmt: skip


def test_mean_squares_are_sums_over_the_cells() -> None:
    values = a_layout(3, 7, seed_sd=1, item_sd=2)
    grand = values.mean()
    seeds = items = rest = 0.0
    for s in range(3):
        for i in range(7):
            of_seed, of_item = values[s].mean() - grand, values[:, i].mean() - grand
            seeds += of_seed**2
            items += of_item**2
            rest += (values[s, i] - grand - of_seed - of_item) ** 2
    expected = seeds / 2, items / 6, rest / 12
    assert [float(one) for one in mean_squares(values)] == pytest.approx(expected)
    stacked = mean_squares(np.stack([values, 2 * values]))
    assert [one[1] for one in stacked] == pytest.approx([4 * one for one in expected])


def test_parts_estimate_the_variance_of_the_grand_mean_without_bias() -> None:
    # Variances 0.04, 0.09 and 1 of seeds, items and rest, over 4 and 100 of them.
    chance = np.random.default_rng(2)
    values = (
        chance.normal(0, 0.2, (4000, 4, 1))
        + chance.normal(0, 0.3, (4000, 1, 100))
        + chance.normal(size=(4000, 4, 100))
    )
    of_seeds, of_items, rest = (float(one.mean()) for one in mean_squares(values))
    assert of_seeds == pytest.approx(1 + 100 * 0.04, rel=0.05)
    assert of_items == pytest.approx(1 + 4 * 0.09, rel=0.01)
    assert rest == pytest.approx(1, rel=0.01)
    between, _ = variance_parts(values)
    assert float(between.mean()) == pytest.approx(0.04 / 4 + 1 / 400, rel=0.05)
    assert values.mean(axis=(1, 2)).var() == pytest.approx(0.04 / 4 + 0.09 / 100 + 1 / 400, rel=0.1)


def test_items_that_do_not_differ_leave_the_t_test_over_seeds() -> None:
    values = a_layout(4, 200, seed_sd=0.5, item_sd=0)
    values -= values.mean(axis=0) - values.mean()  # no item differs, the estimate is negative
    found, reference = ItemPairs(values).estimate(), Pairs(list(values.mean(axis=1))).estimate()
    assert found.items_error == 0
    assert found.difference == pytest.approx(reference.difference)
    assert found.sd == pytest.approx(reference.sd)
    assert found.p == pytest.approx(reference.p, rel=1e-6)
    assert found.interval(0.01) == pytest.approx(reference.interval(0.01))


def test_seeds_that_agree_leave_the_t_test_over_items() -> None:
    items = np.random.default_rng(3).normal(0.3, 1, 40)
    found = ItemPairs(np.stack([items, items, items])).estimate()
    reference = stats.ttest_1samp(items, 0.0)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-6)
    assert found.items_error == pytest.approx(np.std(items, ddof=1) / math.sqrt(40))


def test_half_width_by_hand() -> None:
    # t(5 %) is 2.776 for four degrees and 1.984 for a hundred.
    found = half_width(0.05, [(0.01, 4), (0.04, 100)])
    assert found == pytest.approx(math.sqrt(2.7764**2 * 0.01 + 1.9840**2 * 0.04), rel=1e-4)


@pytest.mark.parametrize("effect", [0.0, 0.4, -3.0, 400.0])
def test_the_interval_at_the_level_p_ends_at_zero(effect: float) -> None:
    found = ItemPairs(a_layout(3, 60, seed_sd=0.3, item_sd=0.5) + effect).estimate()
    assert 0 < found.p <= 1
    if abs(effect) < 100:
        low, high = found.interval(found.p)
        assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-6)
    # Neither contradicts the other.
    low, high = found.interval(0.05)
    assert (found.p < 0.05) == (low > 0 or high < 0)


def test_without_spread_a_difference_is_certain() -> None:
    assert ItemPairs(np.zeros((3, 5))).estimate().p == 1.0
    assert ItemPairs(np.ones((3, 5))).estimate().p == 0.0
    same = np.tile([1.0, 0.0, 1.0, 1.0], (3, 1))
    assert IndependentItemRuns(same, same).estimate().p == 1.0


def test_equal_means_of_few_right_answers_are_no_certainty() -> None:
    answers = np.array([[1.0, 0, 1, 0, 1, 0, 0, 1], [0.0, 1, 1, 1, 1, 0, 0, 0]])
    found = ItemPairs(answers).estimate()
    # Means in steps of 1/8; rounding to a step has the variance 1 / 12.
    assert found.parts[0].variance == pytest.approx((1 / 8) ** 2 / 12 / 2)
    assert 0.01 < found.p < 1
    fine = ItemPairs(answers + np.array([[0.0, 0, 0, 0, 0, 0, 0, 1e-9], [0.0] * 8]), False)
    assert fine.estimate().p < 1e-6, "continuous values have no steps"
    alone = IndependentItemRuns(answers, np.zeros((3, 8)), are_items_random=False).estimate()
    assert alone.parts[0] == found.parts[0] and alone.items_error == 0


def test_fixed_items_leave_the_t_test_over_seeds() -> None:
    values = a_layout(4, 200, seed_sd=0.5, item_sd=3)
    found = ItemPairs(values, are_items_random=False)
    reference = Pairs(list(values.mean(axis=1))).estimate()
    assert found.estimate().p == pytest.approx(reference.p, rel=1e-6)
    assert found.first(3).estimate().items_error == 0 < ItemPairs(values).estimate().items_error


@pytest.mark.filterwarnings("error")
def test_two_seeds_and_items_that_do_not_matter() -> None:
    """One degree of freedom reaches far: its bound at the least p has no finite square."""
    found = ItemPairs(np.array([[1.0, 1.0, 1.0], [1.5, 1.5, 1.5]])).estimate()
    assert found.items_error == 0
    assert found.p == pytest.approx(Pairs([1.0, 1.5]).estimate().p)
    for number in (2, 4, 12, 30, 300):
        wide = np.tile(np.random.default_rng(2).normal(size=number), (2, 1))
        found = ItemPairs(wide + np.array([[0.3], [0.2]])).estimate()
        assert 0 < found.p < 1


def test_samples_count_their_seeds() -> None:
    values = a_layout(5, 9, seed_sd=1, item_sd=1)
    pairs = ItemPairs(values)
    assert len(pairs) == 5 and len(pairs.first(2)) == 2
    assert list(pairs.first(2).differences) == list(pairs.differences)[:2]
    runs = IndependentItemRuns(values, values[:4])
    assert len(runs) == 4 and len(runs.first(2).arm) == len(runs.first(2).baseline) == 2
    assert runs.first(4) is runs
    assert np.mean(runs.differences) == pytest.approx(runs.estimate().difference)
    assert IndependentItemRuns(values, values[:0]).differences == ()


def test_independent_runs_share_items() -> None:
    """What an item adds to the scores of both sides cancels; Welch's test over seeds remains."""
    arm, baseline = (a_layout(4, 300, seed_sd=0.2, item_sd=0, number=n) for n in (4, 5))
    hard = np.random.default_rng(6).normal(0, 50, 300)
    plain = IndependentItemRuns(arm, baseline).estimate()
    found = IndependentItemRuns(arm + hard, baseline + hard).estimate()
    assert found.p == pytest.approx(plain.p, rel=1e-6)
    welch = IndependentRuns(list(arm.mean(axis=1)), list(baseline.mean(axis=1))).estimate()
    assert found.sd == pytest.approx(welch.sd)
    assert sum(part.variance for part in found.parts[:2]) == pytest.approx(welch.error**2)
    assert found.p >= welch.p
    assert found.items_error**2 < 0.15 / 300, "the rest of both sides, 2 / 4, is no part of it"


def test_independent_runs_on_items_that_suit_one_side() -> None:
    arm, baseline = (a_layout(400, 300, seed_sd=0, item_sd=0, number=n) for n in (7, 8))
    suits = np.random.default_rng(9).normal(0, 0.5, 300)
    found = IndependentItemRuns(arm + suits, baseline).estimate()
    assert found.items_error == pytest.approx(np.std(suits, ddof=1) / math.sqrt(300), rel=0.05)


@pytest.mark.parametrize("scores", ["margin", "accuracy"])
def test_false_verdicts_with_two_seeds_are_within_the_level(scores: str) -> None:
    """A small part of the table of benchmarks/results, at its hardest: few seeds that differ."""
    studies = 1500
    shares = found_shares(Case(scores, 2, 100, 10, 1), studies, 0.0, np.random.default_rng(10))
    within = [limit(level, studies) for level in LEVELS]
    assert all(a <= b for a, b in zip(shares["parts"], within, strict=True)), shares
    assert shares["boot seeds"][0] > 0.3, "a bootstrap of two seeds undercovers"
    assert shares["Satterthwaite"][0] > within[0], "few seeds agree by chance"


def test_the_test_over_seeds_takes_the_items_for_the_task() -> None:
    studies, case = 1000, Case("margin", 5, 100, 1, 10)
    shares = found_shares(case, studies, 0.0, np.random.default_rng(11))
    assert shares["seeds"][0] > 0.2
    assert shares["parts"][0] <= limit(LEVELS[0], studies)
    powers = found_shares(case, studies, 4.0, np.random.default_rng(12))
    assert powers["parts"][0] > 0.8
