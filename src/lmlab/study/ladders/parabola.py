"""A parabola through noisy values: where its minimum is, and how far the noise leaves that open.

Level, slope and bend of a fitted parabola are linear combinations of the values, so their errors
are those of sums. The position of the minimum is the ratio -slope / (2 bend). Its interval is the
set of all positions at which a slope of zero is not rejected (Fieller 1954, J. R. Stat. Soc. B
16(2)): it is right for an uncertain bend too, and unbounded where the values show no minimum.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Parabola:
    """``level + slope * u + bend * u^2`` with u = x - centre.

    Attributes:
        x: positions of the values, of shape (points,).
        y: values, of shape (points,).
        centre: where u is 0.
        combinations: weights of the values in level, slope and bend, of shape (3, points).
    """

    x: Array
    y: Array
    centre: float
    combinations: Array

    @functools.cached_property
    def coefficients(self) -> tuple[float, float, float]:
        """Level, slope and bend at the centre."""
        level, slope, bend = (float(one) for one in self.combinations @ self.y)
        return level, slope, bend

    @property
    def bend(self) -> float:
        """Coefficient of the square; half of the curvature."""
        return self.coefficients[2]

    @property
    def vertex(self) -> float:
        """Position of the minimum; NaN where the parabola has none."""
        _, slope, bend = self.coefficients
        return self.centre - slope / (2 * bend) if bend > 0 else math.nan

    @property
    def is_inside(self) -> bool:
        """Whether there is a minimum, between the outermost values."""
        return bool(self.x.min() <= self.vertex <= self.x.max())

    def value(self, x: float) -> float:
        """Return the value of the parabola at a position."""
        return float(self.value_weights(x) @ self.y)

    def value_weights(self, x: Array | float) -> Array:
        """Return the weights of the values in the value at positions, of shape (..., points)."""
        u = np.asarray(x, float) - self.centre
        return np.asarray(np.stack([np.ones_like(u), u, u**2], axis=-1) @ self.combinations)

    def slope_weights(self, x: float) -> Array:
        """Return the weights of the values in the slope at a position, of shape (points,)."""
        return np.asarray(self.combinations[1] + 2 * (x - self.centre) * self.combinations[2])

    @property
    def vertex_influence(self) -> Array:
        """Change of the vertex per change of each value, of shape (points,)."""
        return -self.slope_weights(self.vertex) / (2 * self.bend)

    def residuals(self) -> Array:
        """Return values minus parabola, of shape (points,)."""
        return np.array([one - self.value(x) for x, one in zip(self.x, self.y, strict=True)])

    def vertex_interval(self, covariance: Array, quantile: float) -> tuple[float, float]:
        """Return Fieller's interval of the position of the minimum.

        Args:
            covariance: of the values, of shape (points, points).
            quantile: of the t distribution.

        Returns:
            The two ends; ``(-inf, inf)`` where the values do not show that there is a minimum.
        """
        _, slope, bend = self.coefficients
        part = self.combinations[1:] @ covariance @ self.combinations[1:].T
        # (slope + 2 bend u)^2 <= quantile^2 * its variance is a quadratic inequality in u.
        square = 4 * (bend**2 - quantile**2 * part[1, 1])
        linear = 4 * (slope * bend - quantile**2 * part[0, 1])
        constant = slope**2 - quantile**2 * part[0, 0]
        if bend <= 0 or square <= 0:
            return -math.inf, math.inf
        root = math.sqrt(max(linear**2 - 4 * square * constant, 0.0))
        low, high = ((-linear + sign * root) / (2 * square) for sign in (-1, 1))
        return self.centre + low, self.centre + high


def fit_parabola(
    x: Sequence[float] | Array, y: Sequence[float] | Array, weights: Array | None = None
) -> Parabola:
    """Fit a parabola by weighted least squares.

    Args:
        x: three different positions or more, of shape (points,).
        y: values there, of shape (points,).
        weights: of the values, of shape (points,); None for equal ones.
    """
    where, values = np.asarray(x, float), np.asarray(y, float)
    if len(np.unique(where)) < 3:
        raise ValueError(f"a parabola: expected three different positions or more, found {where}")
    root = np.sqrt(np.ones(len(where)) if weights is None else np.asarray(weights, float))
    centre = float(where.mean())
    design = np.stack([np.ones(len(where)), where - centre, (where - centre) ** 2], axis=1)
    combinations = np.linalg.pinv(design * root[:, None]) * root
    return Parabola(where, values, centre, combinations)
