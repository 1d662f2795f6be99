"""Paired and Welch's t tests against SciPy and an example by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lmlab.study.t_test import IndependentRuns, Pairs

LOSSES = st.lists(st.floats(-10, 10), min_size=2, max_size=12)


@settings(deadline=None)
@given(LOSSES.filter(lambda values: np.std(values) > 1e-3))
def test_pairs_are_tested_as_by_scipy(pairs: list[float]) -> None:
    found, reference = Pairs(pairs).estimate(), stats.ttest_1samp(pairs, 0.0)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
    interval = reference.confidence_interval(0.95)
    assert found.interval(0.05) == pytest.approx((interval.low, interval.high), rel=1e-9, abs=1e-9)
    assert found.sd == pytest.approx(np.std(pairs, ddof=1))


@settings(deadline=None)
@given(LOSSES.filter(lambda values: np.std(values) > 1e-3), LOSSES, st.sampled_from([0.05, 0.01]))
def test_independent_runs_are_tested_as_by_scipy(
    arm: list[float], baseline: list[float], level: float
) -> None:
    found = IndependentRuns(arm, baseline).estimate()
    reference = stats.ttest_ind(arm, baseline, equal_var=False)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-7, abs=1e-12)
    assert found.freedom == pytest.approx(reference.df, rel=1e-7)
    interval = reference.confidence_interval(1 - level)
    assert found.interval(level) == pytest.approx((interval.low, interval.high), rel=1e-7, abs=1e-7)


def test_welch_matches_a_calculation_by_hand() -> None:
    # Means 3 and 3, variances 2.5 and 10, so the error is sqrt(0.5 + 2) and the degrees of freedom
    # are 2.5^2 / (0.5^2 / 4 + 2^2 / 4) = 5.882.
    found = IndependentRuns([1, 2, 3, 4, 5], [-1, 1, 3, 5, 7]).estimate()
    assert (found.difference, found.p) == (0, 1)
    assert found.error == pytest.approx(math.sqrt(2.5))
    assert found.freedom == pytest.approx(5.88235, abs=1e-5)
    assert found.sd == pytest.approx(math.sqrt(12.5))


def test_seeds_shared_by_chance_do_not_pair_independent_runs() -> None:
    """Runs that agree pair by pair have a sure difference if paired, and none otherwise."""
    baseline = [1.0, 2.0, 3.0, 4.0, 5.0]
    arm = [1.10, 2.11, 3.09, 4.10, 5.10]
    assert Pairs([a - b for a, b in zip(arm, baseline, strict=True)]).estimate().p < 1e-4
    assert IndependentRuns(arm, baseline).estimate().p > 0.9


def test_without_spread_a_difference_is_certain() -> None:
    assert Pairs([0.0, 0.0, 0.0]).estimate().p == 1.0
    assert Pairs([0.1, 0.1, 0.1]).estimate().p == 0.0
    assert IndependentRuns([0.1] * 3, [0.1] * 3).estimate().p == 1.0
    certain = IndependentRuns([0.3] * 3, [0.1] * 4).estimate()
    assert certain.p == 0.0
    assert certain.interval(0.05) == pytest.approx((0.2, 0.2))


def test_differences_of_independent_runs_are_from_the_mean_of_the_baseline() -> None:
    runs = IndependentRuns([3.0, 3.4, 3.2], [3.0, 3.1])
    assert list(runs.differences) == pytest.approx([-0.05, 0.35, 0.15])
    assert np.mean(runs.differences) == pytest.approx(runs.estimate().difference)
    assert len(runs) == 2 and len(IndependentRuns([3.0], [])) == 0
    assert IndependentRuns([3.0], []).differences == ()


def test_the_first_seeds_of_a_sample() -> None:
    assert Pairs([1.0, 2.0, 3.0]).first(2) == Pairs([1.0, 2.0])
    runs = IndependentRuns([1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0])
    assert runs.first(2) == IndependentRuns([1.0, 2.0], [4.0, 5.0])
    assert runs.first(3) is runs, "no run is left out where there is no later look"
