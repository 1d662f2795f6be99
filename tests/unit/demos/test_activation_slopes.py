"""Slopes of activations and what is said of them."""

from __future__ import annotations

import math

import pytest

from lmlab.demos.activation_sizes import FFN, KINDS, LOGITS, Sizes
from lmlab.demos.activation_slopes import Measured, Slope, fit_slopes


def power_law(exponents: tuple[float, float, float], factors: list[float]) -> Measured:
    """Sizes in proportion to powers of the width; ``factors`` are those of the seeds."""
    return {
        width: [
            {kind: Sizes(*(factor * width**power for power in exponents)) for kind in KINDS}
            for factor in factors
        ]
        for width in (16, 64, 128)
    }


def test_slopes_are_the_exponents_of_the_width() -> None:
    found = fit_slopes(power_law((0.5, -1.0, 0.25), [1.0, 3.0, 0.2]))
    for kind in KINDS:
        for which, exponent in (("start", 0.5), ("end", -1.0), ("change", 0.25)):
            slope = found[kind, which]
            assert (slope.value, slope.low, slope.high) == pytest.approx((exponent,) * 3)


def test_intervals_are_students_over_seeds() -> None:
    exponents = (0.1, 0.2, 0.6)
    by_width: Measured = {
        width: [{kind: Sizes(width**p, 1.0, 1.0) for kind in KINDS} for p in exponents]
        for width in (8, 32)
    }
    slope = fit_slopes(by_width)[FFN, "start"]
    half = 2.919986 * 0.2645751311 / math.sqrt(3)  # t of 2 degrees of freedom at 95 %
    assert (slope.value, slope.low, slope.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))


def test_an_infinite_activation_is_named() -> None:
    measured = power_law((0.0, 0.0, 0.0), [1.0, 2.0])
    measured[64][1] = None
    assert fit_slopes(measured)[LOGITS, "start"].trend(0.1) == "infinite"


@pytest.mark.parametrize(
    ("low", "high", "trend"),
    [(0.3, 0.5, "grows"), (-0.5, -0.3, "shrinks"), (-0.1, 0.1, "stays"), (0.1, 0.3, "unclear")],
)
def test_trends_are_judged_by_the_interval(low: float, high: float, trend: str) -> None:
    assert Slope((low + high) / 2, low, high).trend(0.2) == trend
