"""Forecasts: exact curves, influence by refitting, what widens the intervals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from small_ladders import LOWEST, a_ladder, gained, law

from lmlab.study.ladders.compute_gain import compute_gains
from lmlab.study.ladders.gain_trend import GainTrend, fit_trend
from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.loss_forecast import _influence, forecast_gain, forecast_losses
from lmlab.study.ladders.scaling_fit import fit_scaling

CURVES = {"arm": gained(0.3), "base": law}
COST = 300 * LOWEST
NOISY = a_ladder(CURVES, seeds=3, sd=0.01, seed=1)


def forecast_of(
    ladder: LadderLosses, seeds: int = 3, level: float = 0.1
) -> dict[str, tuple[float, ...]]:
    cost = {arm: COST for arm in ladder.arms}
    found = forecast_losses(ladder, fit_scaling(ladder), cost, seeds, level)
    return {arm: (one.value, one.low, one.high) for arm, one in found.items()}


def trend_of(ladder: LadderLosses) -> GainTrend:
    fit = fit_scaling(ladder)
    trend = fit_trend(ladder, fit, compute_gains(ladder, fit))
    assert trend is not None
    return trend


def test_exact_curves_are_forecast_exactly() -> None:
    found = forecast_of(a_ladder(CURVES))
    assert found["base"] == pytest.approx((law(COST),) * 3, abs=1e-3)
    assert found["arm"] == pytest.approx((gained(0.3)(COST),) * 3, abs=1e-3)
    gain = forecast_gain(trend_of(a_ladder(CURVES)), COST, 3)
    assert (gain.low, gain.value, gain.high) == pytest.approx((0.3,) * 3, abs=1e-3)


def test_influence_is_what_refitting_a_moved_rung_shows() -> None:
    fit, x, step = fit_scaling(NOISY), math.log(COST), 2e-5
    weights, _ = _influence(NOISY, fit, 0, x)
    for arm, name in enumerate(NOISY.arms):
        for rung in range(5):
            losses = []
            for by in (step, -step):
                rows = [dict(row) for row in NOISY.losses[name]]
                rows[rung] = {seed: loss + by for seed, loss in rows[rung].items()}
                moved = dataclasses.replace(NOISY, losses={**NOISY.losses, name: rows})
                losses.append(float(fit_scaling(moved).loss(0, x)))
            slope = (losses[0] - losses[1]) / (2 * step)
            assert slope == pytest.approx(weights[arm, rung], abs=0.06)


def test_fewer_seeds_noisier_rates_and_a_shorter_ladder_widen_the_interval() -> None:
    def width(ladder: LadderLosses, **changes: float) -> float:
        _, low, high = forecast_of(ladder, **changes)["base"]  # type: ignore[arg-type]
        return high - low

    usual = width(NOISY)
    assert width(NOISY, seeds=1) > usual
    assert width(NOISY, level=0.02) > usual
    variance = {arm: [0.01**2] * 5 for arm in NOISY.arms}
    assert width(dataclasses.replace(NOISY, rate_variance=variance)) > usual
    assert width(NOISY.first(3)) > usual
    assert width(NOISY.first(2)) > width(NOISY.first(3))


def test_a_new_rung_of_one_seed_has_the_noise_of_one_run() -> None:
    many = a_ladder(CURVES, seeds=200, sd=0.02)
    _, low, high = forecast_of(many, seeds=1)["base"]
    _, narrow_low, narrow_high = forecast_of(many, seeds=10**9)["base"]
    added = math.sqrt((high - low) ** 2 - (narrow_high - narrow_low) ** 2) / (2 * 1.645)
    noise = many.smooth_sd(np.full((2, 1), math.log(COST)))[1, 0]
    assert added == pytest.approx(noise, rel=0.05)
    assert 0.005 < noise < 0.012  # 0.02 at the lowest rung, half of it at the top


def test_a_rung_off_the_curve_widens_the_interval_as_misfit() -> None:
    rows = [dict(row) for row in NOISY.losses["base"]]
    rows[2] = {seed: loss + 0.1 for seed, loss in rows[2].items()}
    bent = dataclasses.replace(NOISY, losses={**NOISY.losses, "base": rows})
    (_, low, high), (_, bent_low, bent_high) = forecast_of(NOISY)["arm"], forecast_of(bent)["arm"]
    assert bent_high - bent_low > 2 * (high - low)


def test_a_gain_is_forecast_within_reach_only_and_less_surely_further_out() -> None:
    trend = trend_of(NOISY)
    widths = [
        (one := forecast_gain(trend, factor * 100 * LOWEST, 3)).high - one.low
        for factor in (1.5, 3.0, 9.0)
    ]
    assert np.all(np.diff(widths) > 0)
    with pytest.raises(ValueError, match="20 times the last rung"):
        forecast_gain(trend, 20 * 100 * LOWEST, 3)
