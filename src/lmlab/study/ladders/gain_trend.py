"""The trend of the log gain of an arm against the log cost, with its interval.

The gains g_k of the rungs are fitted by a weighted straight line in x_k = log C_k. Weights follow
the smooth noise of the rungs, so that they need be only roughly right: the errors of the line come
from the observed spread of the seeds, through the influence of every mean loss on every gain. Gains
of neighbouring rungs share mean losses, and this counts their correlation. Degrees of freedom are
Satterthwaite's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from lmlab.study.ladders.compute_gain import Gain
from lmlab.study.ladders.ladder_losses import Array, LadderLosses, t_quantile, two_sided_p
from lmlab.study.ladders.scaling_fit import ScalingFit

_ROUNDING = 1e-6  # of a log gain, by the search for its root


@dataclasses.dataclass(frozen=True)
class Contrast:
    """An estimated combination of log gains.

    Attributes:
        estimate: in units of the log gain.
        error: standard error.
        freedom: degrees of freedom.
    """

    estimate: float
    error: float
    freedom: float

    @property
    def p(self) -> float:
        """Two-sided p-value for a true value of 0."""
        return two_sided_p(self.estimate, self.error, self.freedom)

    def interval(self, level: float, slack: float = 0.0) -> tuple[float, float]:
        """Return the confidence interval at 1 - ``level``.

        Args:
            level: probability that the interval misses the true value.
            slack: standard errors by which the interval is wider at both ends. With the normal
                quantile of a power, an interval about the true value that excludes another value
                predicts that a study excludes it with that power.
        """
        half = (float(t_quantile(level, self.freedom)) + slack) * self.error
        return self.estimate - half, self.estimate + half


@dataclasses.dataclass(frozen=True)
class GainTrend:
    """A straight line through the log gains of the rungs.

    Attributes:
        log_cost: natural log of the baseline's cost at the rungs of the line, of shape (points,).
        log_gain: log gains, of shape (points,).
        weights: weights of the gains in the line, of shape (points,), which sum to 1.
        influence: change of each log gain per change of each mean loss, of shape
            (points, 2, rungs).
        range_error: error of each log gain by E, of shape (points,); shared by all.
        misfit_error: error of each log gain by misfit, of shape (points,); of each its own.
        pair: the losses of arm and baseline.
        fit: their power laws, from which gains beyond the last rung take the slope of the loss.
        misfit_p: p-value of the deviations of the gains from the line; NaN for two points.
    """

    log_cost: Array
    log_gain: Array
    weights: Array
    influence: Array
    range_error: Array
    misfit_error: Array
    pair: LadderLosses
    fit: ScalingFit
    misfit_p: float = math.nan

    def combine(self, coefficients: Array) -> Contrast:
        """Return the estimate of a linear combination of the log gains, of shape (points,)."""
        weights = np.tensordot(coefficients, self.influence, 1)
        known = float(coefficients @ self.range_error) ** 2 + _ROUNDING**2
        known += float(coefficients**2 @ self.misfit_error**2)
        error, freedom = self.pair.error(weights, known)
        return Contrast(float(coefficients @ self.log_gain), float(error), float(freedom))

    def lasting_covariance(self, combinations: Array) -> Array:
        """Return the part of the covariance of combinations that more seeds would not reduce.

        It comes from the learning rates, the asymptote and the misfit.

        Args:
            combinations: coefficients of the log gains, of shape (combinations, points).

        Returns:
            Covariance matrix of shape (combinations, combinations).
        """
        weights = np.tensordot(combinations, self.influence, 1)
        rates = np.einsum("iar,jar,ar->ij", weights, weights, self.pair.rate_var)
        by_range = combinations @ self.range_error
        misfit = (combinations * self.misfit_error**2) @ combinations.T
        return rates + np.outer(by_range, by_range) + misfit

    @property
    def slope_coefficients(self) -> Array:
        """Coefficients of the log gains in the slope of the line, of shape (points,)."""
        away = self.log_cost - self.weights @ self.log_cost
        return self.weights * away / (self.weights @ away**2)

    @property
    def slope(self) -> Contrast:
        """Change of the log gain per unit of log cost; 0 for a constant gain."""
        return self.combine(self.slope_coefficients)

    def coefficients_at(self, log_cost: float) -> Array:
        """Coefficients of the log gains in the line's value at a log cost, of shape (points,)."""
        middle = float(self.weights @ self.log_cost)
        return self.weights + (log_cost - middle) * self.slope_coefficients

    def noise_at(self, log_cost: float, seeds: int) -> float:
        """Return the standard error that a rung gives its own log gain, by the smooth noise.

        The error of the paired difference of losses is divided by the slope of the loss in log
        cost. The learning rates of the rung are as uncertain as those of the last one.

        Args:
            log_cost: natural log of the cost of the rung.
            seeds: number of seeds of both arms.
        """
        sd = self.pair.smooth_sd(np.full((2, 1), log_cost))[:, 0]
        paired = (sd**2).sum() - 2 * self.pair.correlation * sd.prod()
        slope = self.fit.exponent[1] * (self.fit.loss(1, log_cost) - self.fit.asymptote)
        return float(np.sqrt(paired / seeds + self.pair.rate_var[:, -1].sum()) / slope)

    def check_reach(self, log_cost: float, max_factor: float) -> None:
        """Raise ValueError if a cost is further than ``max_factor`` beyond the last rung."""
        factor = math.exp(log_cost - float(self.pair.log_cost[1, -1]))
        if factor > max_factor * (1 + 1e-9):
            raise ValueError(
                f"a gain at {factor:.3g} times the last rung: expected at most {max_factor:g} times"
            )

    def at(self, log_cost: float, max_factor: float = 10.0) -> Contrast:
        """Return the log gain of the line at a log cost.

        Args:
            log_cost: natural log of the baseline's cost.
            max_factor: largest factor beyond the last rung.

        Raises:
            ValueError: if the cost is further than ``max_factor`` beyond the last rung.
        """
        self.check_reach(log_cost, max_factor)
        return self.combine(self.coefficients_at(log_cost))


def fit_trend(pair: LadderLosses, fit: ScalingFit, gains: Sequence[Gain]) -> GainTrend | None:
    """Fit the trend to the gains of an arm.

    Rungs with a bound instead of a gain are left out.

    Args:
        pair: the losses of arm and baseline, in this order.
        fit: their power laws.
        gains: of :func:`lmlab.study.ladders.compute_gain.compute_gains`.

    Returns:
        None if fewer than two rungs have a gain, or where a mean loss does not fall from one rung
        to the next. The same loss then belongs to several costs, and errors by the slope of the
        curve are too small: arms without any effect would get a word that claims one in up to 42%
        of ladders whose losses do not fall at all, instead of 10%.
    """
    known = [gain for gain in gains if not gain.bound]
    if len(known) < 2 or pair.rises:
        return None
    rungs = [gain.rung for gain in known]
    influence = np.array([gain.influence for gain in known])
    misfit = np.array([gain.misfit_error for gain in known])
    variance = pair.expected_error(influence) ** 2 + misfit**2
    variance = variance + (1e-9 + 1e-12 * variance.max())  # equal weights without noise
    line = GainTrend(
        pair.log_cost[1, rungs],
        np.array([gain.log_gain for gain in known]),
        (1 / variance) / (1 / variance).sum(),
        influence,
        np.array([gain.range_error for gain in known]),
        misfit,
        pair,
        fit,
    )
    return dataclasses.replace(line, misfit_p=_misfit_p(line))


def _misfit_p(line: GainTrend) -> float:
    """Return Bonferroni's p-value of the deviation of each gain from the line of the others."""
    count = len(line.log_gain)
    if count < 3:
        return math.nan
    ps = []
    for point in range(count):
        others = line.weights.copy()
        others[point] = 0.0
        rest = dataclasses.replace(line, weights=others / others.sum())
        away = np.eye(count)[point] - rest.coefficients_at(float(line.log_cost[point]))
        ps.append(rest.combine(away).p)
    return min(1.0, (count - 1) * min(ps))
