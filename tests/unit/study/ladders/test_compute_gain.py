"""Gains per rung: exact curves, a calculation by hand, invariances, the paired t test."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import optimize, stats
from small_ladders import EXPONENT, a_ladder, gained, law

from lmlab.study.ladders.compute_gain import Gain, compute_gains
from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.scaling_fit import fit_scaling

NOISY = a_ladder({"arm": gained(0.3), "base": law}, rungs=4, seeds=3, sd=0.02, seed=5)


def gains_of(ladder: LadderLosses, level: float = 0.1) -> list[Gain]:
    return compute_gains(ladder, fit_scaling(ladder), level)


@pytest.mark.parametrize("factor", [8.0, 1.3, 1.0, 0.8, 1 / 30])
@pytest.mark.parametrize("rungs", [3, 5])
def test_an_exact_gain_is_found_at_every_rung(factor: float, rungs: int) -> None:
    gains = gains_of(a_ladder({"arm": gained(math.log(factor)), "base": law}, rungs=rungs))
    assert any(not gain.bound for gain in gains)
    for gain in gains:
        if gain.bound:
            assert abs(gain.bound_log_gain) < abs(math.log(factor))
        else:
            assert gain.gain == pytest.approx(factor, rel=1e-4)
            assert gain.interval == pytest.approx((factor, factor), rel=1e-4)
    assert gains[-1].direction == "down"
    assert gains[0].direction == "up" or gains[0].bound


def test_a_gain_beyond_the_ladder_is_a_bound() -> None:
    for factor, word in ((250.0, "at least"), (1 / 250, "at most")):
        gains = gains_of(a_ladder({"arm": gained(math.log(factor)), "base": law}, rungs=3, sd=1e-4))
        for gain, reach in zip(gains, (100, 10, 100), strict=True):
            assert gain.bound == word
            assert math.isnan(gain.gain)
            assert abs(gain.bound_log_gain) == pytest.approx(math.log(reach), rel=1e-6)
            assert gain.interval[1 if factor > 1 else 0] == (math.inf if factor > 1 else 0.0)
            assert gain.low <= gain.high


def test_a_gain_has_the_sign_of_the_difference_where_losses_rise_again() -> None:
    middle = math.log(a_ladder({"base": law}).cost["base"][2])
    curves = {name: (lambda cost, at=at: at + 0.1 * (math.log(cost) - middle) ** 2)
              for name, at in (("arm", 2.8), ("base", 2.9))}  # fmt: skip
    for arms, sign in (("arm", "base"), 1), (("base", "arm"), -1):
        for gain in gains_of(a_ladder({arm: curves[arm] for arm in arms})):
            assert sign * (gain.bound_log_gain if gain.bound else gain.log_gain) > 0


def test_two_rungs_by_hand() -> None:
    """With E pinned near 0, log L is linear in log C between the rungs.

    The arm has 3.2 and 2.5 at costs 1 and 10, the baseline 2.7 at 10: C' = 10^(1 - w) with
    w = log(2.7/2.5) / log(3.2/2.5).
    """
    rows = {"arm": [3.2, 2.5], "base": [3.5, 2.7]}
    ladder = LadderLosses(
        {arm: [{0: v, 1: v} for v in row] for arm, row in rows.items()},
        {arm: [1.0, 10.0] for arm in rows},
    )
    fit = dataclasses.replace(fit_scaling(ladder), asymptote=0.0)
    share = math.log(2.7 / 2.5) / math.log(3.2 / 2.5)
    lowest, top = compute_gains(ladder, fit)
    assert top.log_gain == pytest.approx(share * math.log(10), rel=1e-5)
    share = math.log(3.5 / 3.2) / math.log(3.5 / 2.7)  # upward, on the baseline's curve
    assert lowest.log_gain == pytest.approx(share * math.log(10), rel=1e-5)


def test_exchanging_the_arms_inverts_gain_and_interval() -> None:
    swapped = dataclasses.replace(NOISY, losses={arm: NOISY.losses[arm] for arm in ("base", "arm")})
    for one, other in zip(gains_of(NOISY), gains_of(swapped), strict=True):
        assert one.log_gain == pytest.approx(-other.log_gain, abs=1e-6)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-5)


def test_units_of_cost_and_a_common_shift_change_nothing() -> None:
    costs = {arm: [3.6e-9 * cost for cost in row] for arm, row in NOISY.cost.items()}
    in_other_units = gains_of(dataclasses.replace(NOISY, cost=costs))
    rows = {
        arm: [{seed: loss + 2.5 for seed, loss in row.items()} for row in rows]
        for arm, rows in NOISY.losses.items()
    }
    above = gains_of(dataclasses.replace(NOISY, losses=rows, floor=2.5))
    for one, scaled, shifted in zip(gains_of(NOISY), in_other_units, above, strict=True):
        assert (scaled.log_gain, scaled.low, scaled.high) == pytest.approx(
            (one.log_gain, one.low, one.high), abs=1e-6
        )
        assert (shifted.low, shifted.high) == pytest.approx((one.low, one.high), abs=1e-2)


def test_costs_may_differ_between_arms() -> None:
    """An arm that needs 1.5 times the seconds of every rung has its gain divided by 1.5."""
    ladder = a_ladder({"arm": gained(math.log(2.0)), "base": law}, rungs=5)
    slow = {**ladder.cost, "arm": [1.5 * cost for cost in ladder.cost["arm"]]}
    found = [gain for gain in gains_of(dataclasses.replace(ladder, cost=slow)) if not gain.bound]
    assert len(found) >= 4
    for gain in found:
        assert gain.gain == pytest.approx(2 / 1.5, rel=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_an_interval_excludes_no_gain_as_the_paired_t_test_does(seed: int) -> None:
    pair = {"arm": gained(0.1), "base": law}
    ladder = a_ladder(pair, rungs=3, seeds=3, sd=0.02, seed=seed)
    for gain, arm, base in zip(gains_of(ladder), *ladder.losses.values(), strict=True):
        p = stats.ttest_rel(list(arm.values()), list(base.values())).pvalue
        assert (gain.low > 0 or gain.high < 0) == (p < 0.1)


def test_the_estimate_is_the_crossing_of_curves_by_bisection() -> None:
    fit, x = fit_scaling(NOISY), NOISY.log_cost[0]
    arm, base = np.log(NOISY.mean - fit.asymptote)
    for gain in compute_gains(NOISY, fit)[1:]:
        assert gain.direction == "down"
        target = base[gain.rung]
        assert arm[gain.rung] < target
        where = optimize.brentq(
            lambda at, target=target: np.interp(at, x, arm) - target, x[0], x[gain.rung]
        )
        assert gain.log_gain == pytest.approx(x[gain.rung] - where, abs=1e-6)


def test_influence_is_what_a_moved_rung_shows() -> None:
    fit, step = fit_scaling(NOISY), 1e-5
    fixed = dataclasses.replace(fit, influence=0 * fit.influence)  # E stays where it is
    gains = compute_gains(NOISY, fixed)
    for arm, name in enumerate(NOISY.arms):
        for rung in range(4):
            rows = [dict(row) for row in NOISY.losses[name]]
            rows[rung] = {seed: loss + step for seed, loss in rows[rung].items()}
            moved = dataclasses.replace(NOISY, losses={**NOISY.losses, name: rows})
            for gain, after in zip(gains, compute_gains(moved, fixed), strict=True):
                slope = (after.log_gain - gain.log_gain) / step
                assert slope == pytest.approx(gain.influence[arm, rung], rel=0.02, abs=0.02)


def test_uncertain_rates_and_levels_widen_intervals() -> None:
    bare = gains_of(NOISY)
    variance = {arm: [0.01**2] * 4 for arm in NOISY.arms}
    uncertain = gains_of(dataclasses.replace(NOISY, rate_variance=variance))
    wider = gains_of(NOISY, level=0.05)
    for one, third in zip(bare, wider, strict=True):
        assert third.low < one.low <= one.log_gain <= one.high < third.high
    # Variances that are known have more degrees of freedom, so that not every width grows.
    large = {arm: [0.2**2] * 4 for arm in NOISY.arms}
    unsure = gains_of(dataclasses.replace(NOISY, rate_variance=large))
    assert unsure[-1].high - unsure[-1].low > uncertain[-1].high - uncertain[-1].low


def test_misfit_is_a_corner_at_the_point_that_is_read() -> None:
    """A change of slope k at distances a and b from the rungs moves log(L - E) by k ab / (a + b).

    Divided by the slope of the line between them, that is the change of the log gain.
    """
    ladder = a_ladder({"arm": gained(0.4), "base": law}, rungs=4)
    fit = dataclasses.replace(fit_scaling(ladder), kink=0.01)
    step = math.log(100) / 3
    for gain in compute_gains(ladder, fit)[1:]:
        expected = 0.01 * 0.4 * (step - 0.4) / step / EXPONENT
        assert gain.misfit_error == pytest.approx(expected, rel=1e-3)
        assert gain.high - gain.log_gain == pytest.approx(1.645 * expected, rel=0.08)
