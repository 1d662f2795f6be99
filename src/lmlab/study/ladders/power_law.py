"""A power law through a few points that each have an error: y = exp(a) x^b.

It is a straight line in the logarithms, by weighted least squares. Two to five points, each with an
error of its own, allow two kinds of interval, which differ in what they trust:

- By errors: the errors of the points are added up through their influence on the line. This is
  right if the law is, and then covers 88% to 90% instead of 90% for errors that have two to eight
  degrees of freedom and differ up to fourfold. It is all that two points allow.
- By scatter: the errors are scaled by what the points show about the line, with two degrees of
  freedom fewer than points (Knapp and Hartung 2003, Statist. Med. 22(17), for a meta-regression
  with one covariate). It needs no errors and holds for points that are off the law by as much as
  each other, but its quantile is 6.3 for three points and 2.9 for four.

A prediction by scatter adds what a new point would be off the line, as any prediction interval of
a regression (Draper and Smith 1998, Applied Regression Analysis).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special

from lmlab.study.ladders.effective_freedom import effective_freedom
from lmlab.study.ladders.ladder_losses import Array, t_quantile

_SPREAD = 0.3  # expected standard deviation of the log variances of points: 15% in their errors
_KNOWN = 1e9  # degrees of freedom of an error that is known


@dataclasses.dataclass(frozen=True)
class PowerLaw:
    """A straight line in logarithms.

    Attributes:
        log_x: natural logs of the positions, of shape (points,).
        log_y: natural logs of the values, of shape (points,).
        errors: standard errors of ``log_y``, of shape (points,).
        freedoms: degrees of freedom of the errors, of shape (points,).
        weights: of the points in the line, of shape (points,).
        shared: known error of ``log_y`` that all points have in common, with its sign, of shape
            (points,).
    """

    log_x: Array
    log_y: Array
    errors: Array
    freedoms: Array
    weights: Array
    shared: Array

    def combination(self, log_x: float) -> Array:
        """Return the weights of the points in the line at a position, of shape (points,)."""
        share = self.weights / self.weights.sum()
        middle = float(share @ self.log_x)
        return np.asarray(share + (log_x - middle) * self._slope_combination)

    @property
    def _slope_combination(self) -> Array:
        share = self.weights / self.weights.sum()
        away = self.log_x - share @ self.log_x
        return np.asarray(share * away / (share @ away**2))

    @property
    def slope(self) -> float:
        """The exponent b."""
        return float(self._slope_combination @ self.log_y)

    def log_value(self, log_x: float) -> float:
        """Return the natural log of the value of the law at a position."""
        return float(self.combination(log_x) @ self.log_y)

    def error(self, combination: Array) -> tuple[float, float]:
        """Return standard error and degrees of freedom of a combination, by errors."""
        parts = (combination * self.errors) ** 2
        expected = combination**2 * smooth_variances(self.errors, self.freedoms)
        known = float(combination @ self.shared) ** 2
        freedom = effective_freedom(parts, expected, np.minimum(self.freedoms, _KNOWN), known)
        return math.sqrt(parts.sum() + known), float(freedom)

    def residuals(self) -> Array:
        """Return log values minus line, of shape (points,)."""
        return np.array(
            [y - self.log_value(x) for x, y in zip(self.log_x, self.log_y, strict=True)]
        )

    @property
    def scatter_p(self) -> float:
        """P-value of points off the law, by their errors; NaN for two points."""
        freedom = len(self.log_x) - 2
        if freedom < 1:
            return math.nan
        variance = smooth_variances(self.errors, self.freedoms)
        line = dataclasses.replace(self, weights=1 / variance)
        statistic = float((line.residuals() ** 2 / variance).sum()) / freedom
        return float(special.fdtrc(freedom, min(float(self.freedoms.sum()), _KNOWN), statistic))

    def slope_interval(self, level: float = 0.1) -> tuple[float, float]:
        """Return the interval of the exponent by errors."""
        return self._by_errors(self.slope, self._slope_combination, level)

    def slope_interval_by_scatter(self, level: float = 0.1) -> tuple[float, float]:
        """Return the interval of the exponent by scatter; unbounded for two points."""
        share = self.weights / self.weights.sum()
        spread = float(share @ (self.log_x - share @ self.log_x) ** 2)
        return self._by_scatter(self.slope, self._scatter_unit / spread, level)

    def interval(self, log_x: float, level: float = 0.1) -> tuple[float, float]:
        """Return the interval of the log value at a position by errors."""
        return self._by_errors(self.log_value(log_x), self.combination(log_x), level)

    def scatter_variance(self, log_x: float) -> float:
        """Return the variance of a new log value about the law at a position, by scatter.

        Infinite for two points.
        """
        share = self.weights / self.weights.sum()
        middle = float(share @ self.log_x)
        spread = float(share @ (self.log_x - middle) ** 2)
        lever = 1 + (log_x - middle) ** 2 / spread + len(share)  # a new point of average weight
        return self._scatter_unit * lever

    def interval_by_scatter(self, log_x: float, level: float = 0.1) -> tuple[float, float]:
        """Return the interval of the log value of a new point by scatter; see the module."""
        return self._by_scatter(self.log_value(log_x), self.scatter_variance(log_x), level)

    @property
    def _scatter_unit(self) -> float:
        """Variance of a value with the weight of all points, by scatter."""
        freedom = len(self.log_x) - 2
        share = self.weights / self.weights.sum()
        return float(share @ self.residuals() ** 2) / freedom if freedom else math.inf

    def _by_errors(self, estimate: float, combination: Array, level: float) -> tuple[float, float]:
        error, freedom = self.error(combination)
        half = float(t_quantile(level, freedom)) * error
        return estimate - half, estimate + half

    def _by_scatter(self, estimate: float, variance: float, level: float) -> tuple[float, float]:
        if not math.isfinite(variance):
            return -math.inf, math.inf
        half = float(t_quantile(level, len(self.log_x) - 2)) * math.sqrt(variance)
        return estimate - half, estimate + half


def fit_power_law(
    x: Sequence[float] | Array,
    y: Sequence[float] | Array,
    errors: Sequence[float] | Array,
    freedoms: Sequence[float] | Array,
    weights: Sequence[float] | Array | None = None,
    shared: Sequence[float] | Array | None = None,
) -> PowerLaw:
    """Fit a power law.

    Args:
        x: two different positions or more, positive.
        y: values there, positive.
        errors: standard errors of log(y); positive.
        freedoms: degrees of freedom of the errors; infinite where one is known.
        weights: of the points; None for the inverse of their smoothed variances, so that a point
            whose few seeds happen to agree does not decide alone, with the variance between points
            that these do not explain. See :func:`smooth_variances`.
        shared: known errors of log(y) that all points have in common, with their signs; None for
            none.
    """
    log_x, log_y = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    found, freedom = np.asarray(errors, float), np.asarray(freedoms, float)
    if len(np.unique(log_x)) < 2 or not np.isfinite([*log_x, *log_y]).all():
        raise ValueError(f"a power law: expected two positive positions or more, found {x}, {y}")
    if not (found > 0).all() or not (freedom > 0).all():
        raise ValueError(
            f"a power law: expected positive errors and freedoms: {errors}, {freedoms}"
        )
    common = np.zeros(len(log_x)) if shared is None else np.asarray(shared, float)
    if weights is not None:
        return PowerLaw(log_x, log_y, found, freedom, np.asarray(weights, float), common)
    variance = smooth_variances(found, freedom)
    law = PowerLaw(log_x, log_y, found, freedom, 1 / variance, common)
    return dataclasses.replace(law, weights=1 / (variance + _scatter_variance(law, variance)))


def _scatter_variance(law: PowerLaw, variance: Array) -> float:
    """Return the variance between points in excess of their own; 0 where there is none.

    It makes the weighted sum of squares equal to its degrees of freedom (Paule and Mandel 1982, J.
    Res. Natl. Bur. Stand. 87(5)).
    """
    freedom = len(variance) - 2

    def surplus(extra: float) -> float:
        line = dataclasses.replace(law, weights=1 / (variance + extra))
        return float((line.residuals() ** 2 * line.weights).sum()) - freedom

    if freedom < 1 or surplus(0.0) <= 0:
        return 0.0
    return float(optimize.brentq(surplus, 0.0, 4 * float(np.ptp(law.log_y)) ** 2))


def smooth_variances(errors: Array, freedoms: Array) -> Array:
    """Return the variances of points, shrunk towards their common level.

    The logarithm of a variance with f degrees of freedom has the bias psi(f/2) - log(f/2) and the
    variance psi'(f/2) (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1), section 6). The smaller that
    is, the less a variance is shrunk.

    Args:
        errors: standard errors, of shape (points,).
        freedoms: their degrees of freedom, of shape (points,).
    """
    half = np.minimum(freedoms, _KNOWN) / 2
    log_variance = 2 * np.log(errors) - special.digamma(half) + np.log(half)
    unsure = special.polygamma(1, half)
    weight = 1 / (unsure + _SPREAD**2)
    level = float(weight @ log_variance) / float(weight.sum())
    trust = _SPREAD**2 * weight
    return np.asarray(np.exp(trust * log_variance + (1 - trust) * level))
