"""Laws of the best rate: exact ones, intervals of two and more sizes, coverage at a larger size."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from lmlab.study.ladders.rate_error import RateError
from lmlab.study.ladders.rate_law import fit_rate_law

SIZES = [64.0, 128.0, 256.0, 512.0]


def searched(rate: float, error: float = 0.1, freedom: float = 4.0) -> RateError:
    return RateError(rate, error, freedom, 0.1, 0.0, 0.0, math.inf, True)


def test_an_exact_law_is_predicted_and_its_drift_is_per_doubling() -> None:
    law = fit_rate_law(SIZES, [searched(0.02 * (size / 64) ** -0.5) for size in SIZES])
    assert law.predict(4096).value == pytest.approx(0.02 / 8)
    drift = law.drift()
    assert drift.factor == pytest.approx(2**-0.5)
    assert drift.low < 2**-0.5 < drift.high < 1
    assert drift.is_significant
    flat = fit_rate_law(SIZES, [searched(0.02) for _ in SIZES]).drift()
    assert flat.factor == pytest.approx(1)
    assert not flat.is_significant


def test_two_sizes_have_the_interval_of_their_own_errors() -> None:
    two = fit_rate_law([64, 256], [searched(0.02), searched(0.01)])
    assert math.isnan(two.misfit_p)
    low, high = two.law.interval(math.log(1024))
    found = two.predict(1024)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((low, high))
    assert found.value == pytest.approx(0.005)
    near, far = two.predict(300), two.predict(5000)
    assert near.high / near.low < found.high / found.low < far.high / far.low


def test_rates_off_the_law_widen_the_interval() -> None:
    rates = [0.02, 0.008, 0.012, 0.003]
    off = fit_rate_law(SIZES, [searched(rate, error=0.02) for rate in rates])
    on = fit_rate_law(SIZES, [searched(0.02 * 2**-k, error=0.02) for k in range(4)])
    assert off.misfit_p < 0.01 < on.misfit_p
    assert off.drift().high / off.drift().low > 3 * on.drift().high / on.drift().low


def test_a_rate_that_was_transferred_by_equal_weights_has_its_interval_too() -> None:
    rates = [searched(0.02, 0.3), searched(0.013, 0.02), searched(0.01, 0.02)]
    equal = fit_rate_law(SIZES[:3], rates, equal_weights=True)
    line = np.polyfit(np.log(SIZES[:3]), np.log([one.rate for one in rates]), 1)
    assert math.log(equal.predict(1024).value) == pytest.approx(np.polyval(line, math.log(1024)))
    weighted = fit_rate_law(SIZES[:3], rates)
    assert weighted.predict(1024).value != pytest.approx(equal.predict(1024).value, rel=1e-3)


@pytest.mark.parametrize(("number", "scatter"), [(2, 0.0), (3, 0.0), (3, 0.2), (4, 0.0), (4, 0.2)])
def test_predictions_cover_the_best_rate_of_a_larger_size(number: int, scatter: float) -> None:
    """With two sizes only where the law holds, which they cannot tell."""
    chance, hits, draws = np.random.default_rng(number), 0, 300
    sizes = [64.0 * 4**k for k in range(number)]
    for _ in range(draws):
        errors = 0.1 * chance.uniform(0.6, 1.6, size=number)
        seen = errors * np.sqrt(chance.chisquare(2, size=number) / 2)
        noise = np.hypot(errors, scatter) * chance.normal(size=number)
        rates = [
            searched(math.exp(-3 - 0.3 * math.log(size) + one), float(error), 2.0)
            for size, one, error in zip(sizes, noise, seen, strict=True)
        ]
        top = 4 * sizes[-1]
        true = math.exp(-3 - 0.3 * math.log(top) + scatter * float(chance.normal()))
        hits += fit_rate_law(sizes, rates).predict(top).contains(true)
    assert hits / draws > 0.9 - 3 * math.sqrt(0.09 / draws)


def test_a_transferred_rate_adds_the_second_moment_of_its_excess() -> None:
    """Through two equal errors, the rate k steps beyond varies by (1 + k)^2 + k^2 times theirs."""
    tau, curvature = 0.05, 0.2
    rate = RateError(0.01, 0.3, 4.0, curvature, curvature / 2 * tau**2, 0.005, 0.02, True)
    law = fit_rate_law([64, 256], [rate, rate])
    chance = np.random.default_rng(1)
    away = tau * (3 * chance.normal(size=200_000) - 2 * chance.normal(size=200_000))
    expected = np.mean((curvature / 2 * away**2) ** 2)
    assert law.loss_variance(256 * 16) == pytest.approx(expected, rel=0.03)
    rates = [dataclasses.replace(rate, rate=one, error=0.02) for one in (0.02, 0.008, 0.012, 0.003)]
    off, on = (fit_rate_law(SIZES, one) for one in (rates, [rates[0]] * 4))
    assert off.loss_variance(1024) > 10 * on.loss_variance(1024)


def test_one_size_has_no_law() -> None:
    with pytest.raises(ValueError, match="two sizes or more"):
        fit_rate_law([64.0], [searched(0.01)])
