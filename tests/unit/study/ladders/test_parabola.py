"""Parabolas: NumPy's polynomial fit, influence by moved values, Fieller's interval by its test."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmlab.study.ladders.parabola import fit_parabola

X = np.array([-1.0, -0.4, 0.1, 0.9, 1.3])
Y = np.array([3.9, 3.2, 3.05, 3.4, 4.1])


def test_the_fit_is_that_of_numpy() -> None:
    weights = np.array([1.0, 2.0, 4.0, 1.0, 0.5])
    found = fit_parabola(X, Y, weights)
    bend, slope, level = np.polyfit(X - X.mean(), Y, 2, w=np.sqrt(weights))
    assert found.coefficients == pytest.approx((level, slope, bend))
    assert found.vertex == pytest.approx(X.mean() - slope / (2 * bend))
    assert found.is_inside
    assert found.value(found.vertex) == pytest.approx(level - slope**2 / (4 * bend))
    assert found.residuals() == pytest.approx(Y - [found.value(x) for x in X])
    assert found.value_weights(X[:2]) @ Y == pytest.approx([found.value(x) for x in X[:2]])


def test_influence_is_what_a_moved_value_shows() -> None:
    found, step = fit_parabola(X, Y), 1e-6
    for point in range(5):
        moved = fit_parabola(X, Y + step * np.eye(5)[point])
        assert (moved.vertex - found.vertex) / step == pytest.approx(
            found.vertex_influence[point], rel=1e-4
        )


def test_the_slope_at_the_ends_of_the_interval_is_just_rejected() -> None:
    found, covariance = fit_parabola(X, Y), 0.1**2 * (np.eye(5) + 0.5)
    for end in found.vertex_interval(covariance, 2.0):
        weights = found.slope_weights(end)
        assert (weights @ Y) ** 2 == pytest.approx(4 * weights @ covariance @ weights)
    # With little noise it is that of the delta method.
    low, high = found.vertex_interval(1e-6 * covariance, 2.0)
    influence = found.vertex_influence
    assert (high - low) / 4 == pytest.approx(math.sqrt(influence @ covariance @ influence) * 1e-3)


def test_values_without_a_minimum_bound_nothing() -> None:
    assert fit_parabola(X, Y).vertex_interval(np.eye(5), 2.0) == (-math.inf, math.inf)
    upside_down = fit_parabola(X, -Y)
    assert math.isnan(upside_down.vertex)
    assert not upside_down.is_inside
    assert upside_down.vertex_interval(1e-9 * np.eye(5), 2.0) == (-math.inf, math.inf)
    assert not fit_parabola(X + 5, (X + 5) ** 2).is_inside
    with pytest.raises(ValueError, match="three different positions"):
        fit_parabola([0.0, 1.0, 1.0], [1.0, 2.0, 3.0])
