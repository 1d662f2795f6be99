"""E-processes: against integrals of the noncentral t density, and on simulated studies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from lmlab.study.e_process import (
    confidence_sequence,
    one_sided_e,
    scale_free_sums,
    two_sided_e,
)

PAIRS = np.array([0.7, 1.9, -0.3, 1.1, 0.4])


def noncentral_ratio(pairs, effect):
    """L(effect) from SciPy's densities of t instead of u; their ratio is the same."""
    number = len(pairs)
    t = stats.ttest_1samp(pairs, 0.0).statistic
    return stats.nct.pdf(t, number - 1, effect * np.sqrt(number)) / stats.t.pdf(t, number - 1)


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_mixtures_are_integrals_over_the_effects(spread):
    def mixed(low, high, scale):
        return integrate.quad(
            lambda d: scale * stats.norm.pdf(d, 0, spread) * noncentral_ratio(PAIRS, d), low, high
        )[0]

    reach = 8 * spread
    assert two_sided_e(PAIRS, spread)[-1] == pytest.approx(mixed(-reach, reach, 1), rel=1e-7)
    assert one_sided_e(PAIRS, spread)[-1] == pytest.approx(mixed(0, reach, 2), rel=1e-7)
    assert one_sided_e(-PAIRS, spread)[-1] == pytest.approx(mixed(-reach, 0, 2), rel=1e-7)


def test_two_sides_are_the_mean_of_both():
    both = (one_sided_e(PAIRS) + one_sided_e(-PAIRS)) / 2
    np.testing.assert_allclose(two_sided_e(PAIRS), both, rtol=1e-12)


def test_one_pair_is_no_evidence_of_a_difference():
    assert two_sided_e(np.array([[3.0], [-0.1]])).ravel() == pytest.approx([1.0, 1.0])


def test_unit_does_not_matter():
    for measure in (two_sided_e, one_sided_e):
        np.testing.assert_allclose(measure(PAIRS), measure(1e-4 * PAIRS), rtol=1e-10)


def test_equal_runs_are_no_evidence_and_equal_differences_are_finite_evidence():
    assert np.all(scale_free_sums(np.zeros(4)) == 0)
    assert np.all(two_sided_e(np.zeros(4)) < 1.0 + 1e-12)
    evidence = two_sided_e(np.full(6, 0.01))
    assert np.all(np.diff(evidence) > 0) and np.isfinite(evidence).all()


@pytest.mark.parametrize("measure", [two_sided_e, one_sided_e])
def test_level_holds_over_all_looks(measure):
    pairs = np.random.default_rng(3).normal(size=(100_000, 12))
    found = (measure(pairs).max(axis=-1) >= 1 / 0.05).mean()
    assert 0.005 < found < 0.05


def test_steps_of_the_process_have_mean_one_given_the_past():
    start = np.array([0.4, 1.3, 0.2])
    nodes, weights = np.polynomial.legendre.leggauss(400)
    # Under the null, the next pair over the root of the sum of squares of n is t[n] / sqrt(n).
    angle = nodes * np.pi / 2
    root = np.sqrt((start**2).sum())
    following = np.tan(angle) * root
    density = stats.t.pdf(np.tan(angle) * np.sqrt(3), 3) * np.sqrt(3) / np.cos(angle) ** 2
    paths = np.column_stack([np.tile(start, (400, 1)), following])
    for measure in (two_sided_e, one_sided_e):
        after = measure(paths)[:, -1]
        mean = (weights * np.pi / 2 * density * after).sum()
        assert mean == pytest.approx(measure(start)[-1], rel=1e-6)


def test_one_sided_evidence_is_less_where_the_mean_is_below_zero():
    pairs = np.random.default_rng(4).normal(size=(200, 8))
    assert np.all(one_sided_e(pairs - 0.5) <= one_sided_e(pairs) * (1 + 1e-12))


def test_confidence_sequence_holds_what_the_process_does_not_reject():
    low, high = confidence_sequence(PAIRS, 0.2)
    for number in (4, 5):
        for end in (low[number - 1], high[number - 1]):
            at_end = two_sided_e(PAIRS[:number] - end)[-1]
            assert at_end == pytest.approx(1 / 0.2, rel=1e-9)
    assert low[0] == -np.inf and high[0] == np.inf


def test_confidence_sequence_holds_at_all_times_together():
    pairs = np.random.default_rng(5).normal(1.5, 0.7, size=(20_000, 12))
    low, high = confidence_sequence(pairs, 0.1)
    assert np.mean(((low <= 1.5) & (high >= 1.5)).all(axis=1)) >= 0.9


def test_intervals_of_equal_differences_have_no_width_once_finite():
    low, high = confidence_sequence(np.full(8, 0.3), 0.05)
    finite = np.isfinite(low)
    assert finite[-1] and not finite[0]
    assert low[finite] == pytest.approx(0.3) and high[finite] == pytest.approx(0.3)
