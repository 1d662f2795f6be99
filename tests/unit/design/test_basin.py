"""The shape of losses around a searched rate, on losses with a known shape."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from lmlab.design.basin import ASYMMETRIC, FEW_RATES, FLAT, ONE_SIDED, Basin, measure_basin, vertex

STEP = math.log(10) / 4
RATES = [0.01 * math.exp(STEP * position) for position in (-2, -1, 0, 1, 2)]


def losses_of(shape: dict[float, float], noise: float = 0.0, seeds: int = 2):  # type: ignore[no-untyped-def]
    """Losses by rate and seed: the shape, a shift of each seed, and noise of the runs."""
    chance = random.Random(1)
    shifts = [chance.gauss(0, 0.1) for _ in range(seeds)]
    return {
        rate: {seed: loss + shifts[seed] + chance.gauss(0, noise) for seed in range(seeds)}
        for rate, loss in shape.items()
    }


def measure(shape: dict[float, float], noise: float = 0.0, seeds: int = 2) -> Basin:
    losses = losses_of(shape, noise, seeds)
    means = {rate: sum(by_seed.values()) / seeds for rate, by_seed in losses.items()}
    return measure_basin(losses, means, min(means, key=means.__getitem__), range(seeds), 0.01)


def test_curvature_and_skew_of_a_cubic_are_found() -> None:
    basin = measure(
        dict(zip(RATES, (0.05 * u**2 + 0.01 * u**3 for u in range(-2, 3)), strict=True))
    )
    assert basin.curvature == pytest.approx(0.05)
    assert basin.skew == pytest.approx(0.01)
    assert basin.is_asymmetric
    assert basin.error == pytest.approx(0, abs=1e-12), "shifts of the seeds are no noise"


def test_the_skew_is_that_of_least_squares_with_its_error() -> None:
    rates = [0.0012, 0.002, 0.0047, 0.009, 0.025]
    shape = dict(zip(rates, (3.4, 3.1, 3.0, 3.2, 3.9), strict=True))
    basin = measure(shape, noise=0.02)
    step = math.log(rates[3] / rates[1]) / 2
    x = np.log(np.array(rates) / 0.0047) / step
    means = [sum(one.values()) / 2 for one in losses_of(shape, 0.02).values()]
    design = np.vander(x, 4)
    expected = np.linalg.lstsq(design, np.array(means), rcond=None)[0][0]
    assert basin.skew == pytest.approx(expected)
    variance = np.linalg.inv(design.T @ design)[0, 0]
    assert basin.skew_error == pytest.approx(basin.error * math.sqrt(variance))


def test_the_noise_is_that_of_runs_beside_rate_and_seed() -> None:
    found = []
    for number in range(300):
        chance = random.Random(number)
        losses = {
            rate: {seed: 0.3 * seed + rate + chance.gauss(0, 0.02) for seed in range(3)}
            for rate in RATES
        }
        means = {rate: sum(one.values()) / 3 for rate, one in losses.items()}
        found.append(measure_basin(losses, means, RATES[2], range(3), 9.0).error)
    assert np.median(found) == pytest.approx(0.02 / math.sqrt(3), rel=0.2)


def test_one_wild_rate_does_not_hide_an_asymmetric_basin() -> None:
    """Near the edge of stable training, runs differ by far more than elsewhere."""
    losses = losses_of(dict(zip(RATES, (3.03, 3.0, 3.005, 3.1, 3.9), strict=True)), noise=0.003)
    losses[RATES[-1]][1] += 0.8
    means = {rate: sum(by_seed.values()) / 2 for rate, by_seed in losses.items()}
    basin = measure_basin(losses, means, RATES[1], range(2), 0.01)
    assert basin.error < 0.01
    assert basin.doubt(0.001) == ASYMMETRIC


def test_rates_far_from_the_best_one_do_not_hide_a_wall_beside_it() -> None:
    """A parabola ten times as steep above its minimum, which is just above the best rate."""
    losses = (1.1, 0.54, 0.178, 0.011, 0.43)
    basin = measure(dict(zip(RATES, losses, strict=True)))
    assert basin.skew == pytest.approx((0.43 - 3 * 0.011 + 3 * 0.178 - 0.54) / 6)
    assert basin.is_asymmetric


@pytest.mark.parametrize("skew", [0.005, 0.01, -0.02])
def test_the_excess_is_that_of_the_vertex_to_leading_order(skew: float) -> None:
    """The vertex of the parabola through -1, 0 and 1 misses the minimum of the cubic at 0."""
    shape = {rate: 0.1 * u**2 + skew * u**3 for u, rate in zip(range(-2, 3), RATES, strict=True)}
    at = math.log(vertex(RATES[1:4], shape, RATES[2]) / RATES[2]) / STEP
    truth = 0.1 * at**2 + skew * at**3
    assert measure(shape).excess == pytest.approx(truth, rel=0.12)


def test_reasons_for_doubt() -> None:
    parabola = {rate: 0.1 * u**2 for u, rate in zip(range(-2, 3), RATES, strict=True)}
    assert measure(parabola).doubt(1e-6) == ""
    assert measure(dict(list(parabola.items())[:3])).doubt(1e-6) == ONE_SIDED
    assert measure(dict(list(parabola.items())[1:4])).doubt(1e-6) == FEW_RATES
    assert measure(dict.fromkeys(RATES, 1.0)).doubt(1e-6) in (FLAT, ONE_SIDED)
    skewed = Basin(error=0.01, curvature=0.1, skew=0.03, skew_error=0.003)
    assert skewed.excess == pytest.approx(0.00225)
    assert skewed.doubt(0.0) == ASYMMETRIC
    assert skewed.doubt(0.003) == "", "negligible for the study"
    assert Basin(0.05, 0.1, 0.03, 0.015).doubt(0.0) == "", "negligible beside the noise"


def test_one_tuning_seed_takes_the_expected_noise() -> None:
    assert measure(dict.fromkeys(RATES, 1.0), seeds=1).error == 0.01
