"""Comparisons, intervals and Holm's correction against worked examples and references."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lmlab.study.sequential_test import Rule, nominal_level
from lmlab.study.statistics import ArmComparison, compare, holm, sd_interval
from lmlab.study.t_test import Pairs

ONE_LOOK = Rule(seeds=5)
TWO_LOOKS = Rule(seeds=5, extra_seeds=5)


def compare_pairs(
    arms: Sequence[Sequence[float]], rule: Rule, family: int | None = None
) -> list[ArmComparison]:
    return compare([Pairs(pairs) for pairs in arms], rule, family)


def t_interval(pairs: Sequence[float], rule: Rule) -> tuple[float, float]:
    return Pairs(pairs).estimate().interval(nominal_level(rule.alpha, rule.looks))


def test_compare_matches_a_worked_example() -> None:
    # Differences 1..5: mean 3, sd sqrt(2.5), t = 3 / (1.5811 / sqrt 5) = 4.2426; the quantile of
    # t with 4 degrees of freedom is 2.7764.
    (found,) = compare_pairs([[1, 2, 3, 4, 5]], ONE_LOOK)
    assert found.difference == 3
    assert found.low == pytest.approx(3 - 2.7764 * 0.70711, abs=1e-3)
    assert found.p == pytest.approx(0.01324, abs=1e-4)
    assert found.verdict == "worse"
    (found,) = compare_pairs([[-1, -2, -3, -4, -5]], ONE_LOOK)
    assert found.verdict == "better"


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12).filter(lambda xs: np.std(xs) > 1e-3))
def test_t_interval_is_that_of_scipy(pairs: list[float]) -> None:
    reference = stats.ttest_1samp(pairs, 0.0).confidence_interval(0.95)
    low, high = t_interval(pairs, Rule(seeds=len(pairs)))
    assert (low, high) == pytest.approx((reference.low, reference.high), rel=1e-9, abs=1e-9)


def test_t_interval_is_wider_with_two_looks() -> None:
    pairs = [0.01, 0.02, 0.03, 0.02, 0.01]
    wide, narrow = t_interval(pairs, TWO_LOOKS), t_interval(pairs, ONE_LOOK)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_holm_matches_a_calculation_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01], family=4) == pytest.approx([0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(ps: list[float]) -> None:
    adjusted = holm(ps)
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    assert _step_down(ps, 0.05) == [q <= 0.05 for q in adjusted]


def _step_down(ps: list[float], alpha: float) -> list[bool]:
    """Holm's procedure as published, step by step: which hypotheses are rejected."""
    rejected = [False] * len(ps)
    for step, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        if (len(ps) - step) * ps[index] > alpha:
            break
        rejected[index] = True
    return rejected


def test_small_differences_are_none_and_noisy_ones_inconclusive() -> None:
    rule = Rule(seeds=5, margin=0.02)
    (equivalent,) = compare_pairs([[0.001, -0.001, 0.002, -0.002, 0.0]], rule)
    assert equivalent.verdict == "no difference"
    assert equivalent.bound <= 0.02
    (noisy,) = compare_pairs([[0.03, -0.03, 0.04, -0.02, 0.05]], rule)
    assert noisy.verdict == "inconclusive"
    assert noisy.more_seeds is not None and noisy.more_seeds > 5


@pytest.mark.parametrize("pairs", [[], [0.5]])
def test_fewer_than_two_pairs_are_inconclusive(pairs: list[float]) -> None:
    (found,) = compare_pairs([pairs], Rule(seeds=5))
    assert found.verdict == "inconclusive"
    assert found.more_seeds == 5 - len(pairs)


def test_equal_differences_leave_no_doubt() -> None:
    assert compare_pairs([[0.0] * 5], ONE_LOOK)[0].verdict == "no difference"
    assert compare_pairs([[0.1] * 5], ONE_LOOK)[0].verdict == "worse"


def test_arms_without_runs_count_in_the_correction() -> None:
    pairs = [0.010, 0.014, 0.012, 0.030, 0.011]
    alone, in_family = (
        compare_pairs([pairs], ONE_LOOK)[0],
        compare_pairs([pairs], ONE_LOOK, family=8)[0],
    )
    assert in_family.adjusted_p == pytest.approx(8 * alone.adjusted_p)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.lists(st.floats(-0.1, 0.1), min_size=5, max_size=5).filter(lambda xs: np.std(xs) > 1e-4),
        min_size=1,
        max_size=10,
    ),
    st.sampled_from([0.0, 0.02, 0.05]),
)
def test_the_word_follows_from_the_interval_shown(arms: list[list[float]], margin: float) -> None:
    rule = Rule(seeds=5, margin=margin)
    for pairs, found in zip(arms, compare_pairs(arms, rule), strict=True):
        uncorrected = t_interval(pairs, rule)
        if max(map(abs, uncorrected)) <= margin:
            assert found.verdict == "no difference" and (found.low, found.high) == uncorrected
        elif found.verdict == "inconclusive":
            assert found.low <= 0 <= found.high
        else:
            assert found.low > 0 if found.verdict == "worse" else found.high < 0
        assert found.confidence is not None
        reference = stats.ttest_1samp(pairs, 0.0).confidence_interval(found.confidence)
        assert (found.low, found.high) == pytest.approx(
            (reference.low, reference.high), rel=1e-9, abs=1e-9
        )


def test_intervals_have_the_level_of_holms_step() -> None:
    clear, unclear = [0.1, 0.11, 0.1, 0.12, 0.1], [0.1, -0.1, 0.2, -0.15, 0.12]
    found = compare_pairs([unclear, clear, unclear], Rule(seeds=5))
    assert [round(one.confidence or 0, 4) for one in found] == [0.975, 0.9833, 0.975]


def test_a_significant_difference_within_the_margin_is_none() -> None:
    pairs = [0.011, 0.012, 0.010, 0.011, 0.0115]
    (found,) = compare_pairs([pairs], Rule(seeds=5, margin=0.05))
    assert found.adjusted_p < 0.001 and found.verdict == "no difference"
    (found,) = compare_pairs([pairs], Rule(seeds=5, margin=0.005))
    assert found.verdict == "worse"


def test_outlying_seeds_are_named_and_no_number_of_seeds_is_promised() -> None:
    pairs = [0.0111, 0.0112, 3.1, 0.0113, 0.0110, 3.9, 0.0112, 0.0111]
    (found,) = compare_pairs([pairs], Rule(seeds=8, margin=0.005))
    assert (found.verdict, found.more_seeds) == ("inconclusive", None)
    assert found.agreeing == (0, 1, 3, 4, 6, 7)


def test_a_difference_that_only_the_first_look_finds_rests_on_its_pairs() -> None:
    first, added = [0.1, 0.101, 0.1, 0.102, 0.1], [-0.9, 0.8, -0.7, 0.9, -0.8]
    (found,) = compare_pairs([[*first, *added]], TWO_LOOKS)
    assert (found.verdict, found.seeds) == ("worse", 5)
    assert found.low > 0
    assert found.difference == pytest.approx(np.mean(first))


@pytest.mark.parametrize(
    ("number", "low", "high"),
    # Factors of a standard deviation at 95%, from tables of the chi-squared distribution.
    [(2, 0.446, 31.91), (5, 0.599, 2.874), (8, 0.661, 2.035), (30, 0.796, 1.344)],
)
def test_a_standard_deviation_has_the_interval_of_tables(
    number: int, low: float, high: float
) -> None:
    assert sd_interval(2.0, number, 0.05) == pytest.approx((2 * low, 2 * high), rel=1e-3)


def test_the_interval_of_a_standard_deviation_covers_it_as_often_as_stated() -> None:
    sds = np.random.default_rng(5).normal(0, 3.0, (20_000, 6)).std(axis=1, ddof=1)
    ends = [sd_interval(sd, 6, 0.1) for sd in sds]
    covered = np.mean([low <= 3.0 <= high for low, high in ends])
    assert covered == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 20_000))
