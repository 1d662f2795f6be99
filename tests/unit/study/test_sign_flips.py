"""The sign-flip test against all sign changes written out, and its intervals against the test."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmlab.study.sign_flips import FlippedPairs, flip_intervals

DIFFERENCES = st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=2, max_size=9)


def p_by_hand(differences: list[float]) -> float:
    observed = abs(math.fsum(differences))
    sums = [
        abs(math.fsum(sign * one for sign, one in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(one >= observed for one in sums) / len(sums)


@given(DIFFERENCES)
def test_the_p_value_is_the_share_of_all_sign_changes(differences: list[float]) -> None:
    assert FlippedPairs(differences).estimate().p == pytest.approx(p_by_hand(differences))


@given(DIFFERENCES, st.sampled_from([0.01, 0.05 / 3, 0.05, 0.125, 0.3]))
def test_the_interval_excludes_zero_exactly_where_the_test_rejects(
    differences: list[float], level: float
) -> None:
    found = FlippedPairs(differences).estimate()
    low, high = found.interval(level)
    assert (low > 0 or high < 0) == (found.p <= level)
    assert low <= found.difference + 1e-12 and found.difference <= high + 1e-12


@given(DIFFERENCES, st.integers(-8, 8))
def test_the_interval_consists_of_the_differences_that_are_not_rejected(
    differences: list[float], eighths: int
) -> None:
    """Between eighths, which no subset mean of one value can be, ends cannot be met by chance."""
    shift = eighths / 8 + math.pi / 100
    low, high = FlippedPairs(differences).estimate().interval(0.125)
    shifted = [one - shift for one in differences]
    assert (low <= shift <= high) == (p_by_hand(shifted) > 0.125)


def test_too_few_pairs_give_no_bound() -> None:
    found = FlippedPairs([0.1, 0.2, 0.3, 0.2, 0.1]).estimate()
    assert found.p == 2 / 2**5
    assert found.interval(0.05) == (-math.inf, math.inf)
    assert FlippedPairs([0.1, 0.2, 0.3, 0.2, 0.1, 0.1]).estimate().interval(0.05)[0] > 0


def test_many_pairs_use_a_fixed_sample_of_sign_changes() -> None:
    pairs = np.random.default_rng(5).normal(0.4, 1, size=30).tolist()
    first, again = (FlippedPairs(pairs).estimate() for _ in range(2))
    assert first.p == again.p
    mean, error = float(np.mean(pairs)), float(np.std(pairs, ddof=1)) / math.sqrt(30)
    low, high = first.interval(0.05)
    # With thirty normal pairs, the interval of the t test is nearly the same: 2.045 errors.
    assert low == pytest.approx(mean - 2.045 * error, abs=0.2 * error)
    assert high == pytest.approx(mean + 2.045 * error, abs=0.2 * error)


def test_intervals_of_many_studies_are_those_of_each() -> None:
    pairs = np.random.default_rng(6).standard_t(3, size=(40, 8))
    for level in (0.001, 0.05 / 3, 0.05):
        low, high = flip_intervals(pairs, level)
        each = [FlippedPairs(row).estimate().interval(level) for row in pairs.tolist()]
        assert np.allclose(np.stack([low, high], axis=1), each, rtol=0, atol=1e-12)


def test_skewed_noise_of_the_runs_is_no_difference_more_often_than_stated() -> None:
    """Differences of runs whose noise is exponential, over studies of eight pairs."""
    chance = np.random.default_rng(7)
    noise = chance.exponential(size=(4000, 2, 8))
    ps = [FlippedPairs(row).estimate().p for row in (noise[:, 0] - noise[:, 1]).tolist()]
    rate, error = float(np.mean(np.array(ps) <= 0.05)), math.sqrt(0.05 * 0.95 / 4000)
    assert rate <= 6 / 128 + 3 * error
    assert rate >= 6 / 128 - 3 * error, "exact: 6 of 128 pairs of opposite sign changes"
