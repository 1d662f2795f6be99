"""Trends of log gains: exact lines, influence by moved rungs, SciPy's regression, reach."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from small_ladders import LOWEST, a_ladder, gained, law

from lmlab.study.ladders.compute_gain import compute_gains
from lmlab.study.ladders.gain_trend import Contrast, GainTrend, fit_trend
from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.scaling_fit import fit_scaling


def trend_of(ladder: LadderLosses) -> GainTrend:
    fit = fit_scaling(ladder)
    trend = fit_trend(ladder, fit, compute_gains(ladder, fit))
    assert trend is not None
    return trend


def test_an_exact_constant_gain_has_no_slope_and_a_changing_one_has_its_own() -> None:
    constant = trend_of(a_ladder({"arm": gained(0.3), "base": law}))
    assert constant.slope.estimate == pytest.approx(0, abs=1e-5)
    assert constant.slope.interval(0.1) == pytest.approx((0, 0), abs=1e-4)
    # Read downward, log G at the baseline's cost is g / (1 + s) for an arm with slope s.
    changing = trend_of(a_ladder({"arm": gained(0.4, slope=-0.05), "base": law}, rungs=9))
    upper = dataclasses.replace(changing, weights=np.r_[0, np.ones(8)] / 8)
    assert upper.slope.estimate == pytest.approx(-0.05 / 0.95, rel=2e-2)
    log_gain = changing.at(math.log(100 * LOWEST)).estimate
    assert log_gain == pytest.approx((0.4 - 0.05 * math.log(100)) / 0.95, rel=2e-2)


def test_the_line_is_that_of_weighted_least_squares() -> None:
    trend = trend_of(a_ladder({"arm": gained(0.3), "base": law}, sd=0.02))
    equal = dataclasses.replace(trend, weights=np.full(5, 0.2))
    reference = stats.linregress(trend.log_cost, trend.log_gain)
    assert equal.slope.estimate == pytest.approx(reference.slope)
    at = float(trend.log_cost[-1]) + 0.5
    assert equal.at(at).estimate == pytest.approx(reference.intercept + reference.slope * at)
    line = np.polyfit(trend.log_cost, trend.log_gain, 1, w=np.sqrt(trend.weights))
    assert trend.slope.estimate == pytest.approx(line[0])


def test_the_error_is_that_of_independent_gains_where_no_curve_is_shared() -> None:
    """Without interpolation (both losses equal), gains are paired differences over the slope."""
    ladder = a_ladder({"arm": law, "base": law}, rungs=4, seeds=4, sd=0.02, seed=3)
    trend = trend_of(ladder)
    c = trend.slope_coefficients
    parts = []
    for rung in range(4):
        arm, base = (np.array(list(ladder.losses[name][rung].values())) for name in ladder.arms)
        per_nat = trend.influence[rung, :, rung]
        parts.append(c[rung] ** 2 * np.var(per_nat[0] * arm + per_nat[1] * base, ddof=1) / 4)
    assert trend.slope.error == pytest.approx(math.sqrt(sum(parts)), rel=0.15)
    assert 3 < trend.slope.freedom <= 12


def test_the_slope_moves_with_a_rung_as_its_influence_says() -> None:
    ladder, step = a_ladder({"arm": gained(0.3), "base": law}, rungs=4, sd=0.02, seed=2), 1e-5
    fit = fit_scaling(ladder)
    fit = dataclasses.replace(fit, influence=0 * fit.influence, range_error=0.0)
    before = fit_trend(ladder, fit, compute_gains(ladder, fit))
    rows = [dict(row) for row in ladder.losses["arm"]]
    rows[3] = {seed: loss + step for seed, loss in rows[3].items()}
    moved = dataclasses.replace(ladder, losses={**ladder.losses, "arm": rows})
    after = fit_trend(moved, fit, compute_gains(moved, fit))
    assert before is not None and after is not None
    after = dataclasses.replace(after, weights=before.weights)
    expected = float(before.slope_coefficients @ before.influence[:, 0, 3])
    found = (after.slope.estimate - before.slope.estimate) / step
    assert found == pytest.approx(expected, rel=0.02)


def test_a_gain_off_the_line_is_misfit() -> None:
    def bent(cost: float) -> float:
        return gained(0.6 if 5 < cost / LOWEST < 50 else 0.2)(cost)

    assert trend_of(a_ladder({"arm": bent, "base": law}, sd=0.004)).misfit_p < 0.1
    straight = [
        trend_of(a_ladder({"arm": gained(0.3), "base": law}, sd=0.01, seed=seed)).misfit_p
        for seed in range(10)
    ]
    assert np.mean(np.array(straight) < 0.1) <= 0.3
    assert math.isnan(trend_of(a_ladder({"arm": gained(0.3), "base": law}, rungs=2)).misfit_p)


def test_no_gain_is_extrapolated_beyond_the_stated_factor() -> None:
    trend = trend_of(a_ladder({"arm": gained(0.3), "base": law}, sd=0.01))
    top = math.log(100 * LOWEST)
    near, far = trend.at(top), trend.at(top + math.log(10))
    assert far.error > near.error
    with pytest.raises(ValueError, match="11 times the last rung: expected at most 10 times"):
        trend.at(top + math.log(11))


def test_bounds_are_left_out_of_the_line() -> None:
    ladder = a_ladder({"arm": gained(math.log(250)), "base": law})
    fit = fit_scaling(ladder)
    assert fit_trend(ladder, fit, compute_gains(ladder, fit)) is None


def test_noise_at_a_rung_is_that_of_the_gain_measured_there() -> None:
    ladder = a_ladder({"arm": gained(0.02), "base": law}, seeds=300, sd=0.02)
    trend = trend_of(ladder)
    measured = trend.combine(np.array([0.0, 0, 0, 0, 1])).error
    assert trend.noise_at(math.log(100 * LOWEST), 300) == pytest.approx(measured, rel=0.12)
    assert trend.noise_at(math.log(100 * LOWEST), 3) == pytest.approx(10 * measured, rel=0.12)


def test_what_more_seeds_do_not_reduce_is_what_remains_without_noise() -> None:
    ladder = a_ladder({"arm": gained(0.3), "base": law}, rungs=4)
    variance = {"arm": [0.01**2, 0.02**2, 0.01**2, 0.005**2]}
    trend = trend_of(dataclasses.replace(ladder, rate_variance=variance))
    trend = dataclasses.replace(trend, misfit_error=np.array([0.01, 0.02, 0.0, 0.01]))
    both = np.stack([trend.coefficients_at(x) for x in trend.log_cost[[0, -1]]])
    found = trend.lasting_covariance(both)
    for index in (0, 1):
        assert trend.combine(both[index]).error ** 2 == pytest.approx(found[index, index], rel=1e-3)
    change = trend.combine(both[1] - both[0]).error ** 2
    assert change == pytest.approx(found[0, 0] + found[1, 1] - 2 * found[0, 1], rel=1e-3)


def test_a_contrast_has_its_t_interval() -> None:
    contrast = Contrast(0.3, 0.1, 4.0)
    half = stats.t.ppf(0.95, 4) * 0.1
    assert contrast.interval(0.1) == pytest.approx((0.3 - half, 0.3 + half))
    assert contrast.interval(0.1, slack=2.0)[0] == pytest.approx(0.3 - half - 0.2)
    assert contrast.p == pytest.approx(2 * stats.t.sf(3, 4))
