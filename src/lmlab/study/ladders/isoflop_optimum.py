"""The best size for one compute budget: the minimum of a parabola through the losses of its sizes.

Models of different sizes are trained with the same compute, the smaller ones on more tokens. The
final loss against log(parameters) has a minimum, and a parabola finds it (Hoffmann et al. 2022,
arXiv:2203.15556, section 3.2), with the skew of :mod:`lmlab.study.ladders.isoflop_curves`. Its
interval is Fieller's; see :mod:`lmlab.study.ladders.parabola`. It carries the noise of the seeds,
what the loss is off the curve, and what is left open of the skew.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from lmlab.study.ladders.effective_freedom import effective_freedom
from lmlab.study.ladders.isoflop_curves import Budget, Curves, skewed_curve
from lmlab.study.ladders.ladder_losses import t_quantile
from lmlab.study.ladders.loss_forecast import Forecast
from lmlab.study.ladders.parabola import Array, Parabola

AT_LEAST, AT_MOST, FLAT = "at least", "at most", "flat"


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The best size for a budget.

    Attributes:
        flops: the budget.
        bound: empty if the minimum lies between the sizes; ``at least`` or ``at most`` if the
            lowest loss is at the largest or the smallest size, which ``parameters`` is then the
            bound of, and ``tokens`` the opposite one; ``flat`` if the losses do not show a minimum
            for noise.
        parameters: best number of parameters, with its interval.
        tokens: training tokens of a model of that size, with their interval.
        loss: loss at the minimum; NaN unless that is located. The interval is NaN unless all sizes
            have the same two seeds or more, which show what a seed adds to all sizes alike.
        error: standard error of log(parameters) without that by the skew.
        skew_error: error of log(parameters) by the skew, signed; budgets share it.
        freedom: degrees of freedom of ``error``.
        token_slope: change of log(tokens) per log(parameters) there; -1 for compute of 6 N D.
        by_seed: loss at the minimum by seed; empty unless all sizes have the same two or more.
        loss_variance: variance of the loss that all seeds share, by misfit.
    """

    flops: float
    bound: str
    parameters: Forecast
    tokens: Forecast
    loss: Forecast
    error: float = math.nan
    skew_error: float = math.nan
    freedom: float = math.nan
    token_slope: float = math.nan
    by_seed: Mapping[int, float] = dataclasses.field(default_factory=dict)
    loss_variance: float = 0.0

    @property
    def is_located(self) -> bool:
        """Whether the minimum lies between the sizes and its interval is bounded."""
        return not self.bound


def find_optimum(budget: Budget, curves: Curves, level: float = 0.1) -> Optimum:
    """Return the best size for a budget.

    Args:
        budget: its runs.
        curves: what the curves of all budgets have in common.
        level: probability that an interval misses the true value.
    """
    curve = skewed_curve(budget, curves.skew)
    if not curve.is_inside:
        return _bound(budget, curve)
    covariance, freedom = _covariance(budget, curve, curves)
    quantile = float(t_quantile(level, freedom))
    x, (low, high) = curve.vertex, curve.vertex_interval(covariance, quantile)
    missing = Forecast(math.nan, math.nan, math.nan)
    size, tokens = math.exp(x), math.exp(budget.log_tokens(x))
    if not math.isfinite(low):
        anything = Forecast(size, 0.0, math.inf), Forecast(tokens, 0.0, math.inf)
        return Optimum(budget.flops, FLAT, *anything, missing)
    error, by_skew = (high - low) / 2 / quantile, _skew_error(budget, curves)
    # The error by the skew is known, so it joins with the quantile of a normal distribution.
    beside = float(t_quantile(level, math.inf)) * by_skew
    low, high = x - math.hypot(x - low, beside), x + math.hypot(high - x, beside)
    step = 1e-4
    found = Optimum(
        budget.flops,
        "",
        Forecast(size, math.exp(low), math.exp(high)),
        Forecast(tokens, math.exp(budget.log_tokens(high)), math.exp(budget.log_tokens(low))),
        missing,
        error,
        by_skew,
        freedom,
        (budget.log_tokens(x + step) - budget.log_tokens(x - step)) / (2 * step),
    )
    return _with_loss(found, budget, curve, curves, level)


def _bound(budget: Budget, curve: Parabola) -> Optimum:
    """Return the bound that a budget gives whose lowest loss is at an end of its sizes."""
    missing = Forecast(math.nan, math.nan, math.nan)
    if curve.value(curve.x[-1]) < curve.value(curve.x[0]):
        size, tokens = float(budget.parameters[-1]), float(budget.tokens[-1])
        above, fewer = Forecast(size, size, math.inf), Forecast(tokens, 0.0, tokens)
        return Optimum(budget.flops, AT_LEAST, above, fewer, missing)
    size, tokens = float(budget.parameters[0]), float(budget.tokens[0])
    below, more = Forecast(size, 0.0, size), Forecast(tokens, tokens, math.inf)
    return Optimum(budget.flops, AT_MOST, below, more, missing)


def _covariance(budget: Budget, curve: Parabola, curves: Curves) -> tuple[Array, float]:
    """Return the covariance of the mean losses of a budget, and degrees of freedom of the vertex.

    What a seed adds to all sizes is left out: it moves no minimum.
    """
    noise, freedom = budget.noise
    of_seeds = noise / budget.seeds
    square = curve.vertex_influence**2
    parts = np.array([square @ of_seeds, square.sum() * curves.misfit])
    freedoms = np.array([max(freedom, 1), max(curves.freedom, 1.0)])
    covariance = np.diag(of_seeds + curves.misfit)
    return covariance, float(effective_freedom(parts, parts, freedoms))


def _skew_error(budget: Budget, curves: Curves) -> float:
    """Return the error of the vertex by that of the skew, with the sign of its influence."""
    step = 1e-3
    above, below = (skewed_curve(budget, curves.skew + sign * step).vertex for sign in (1, -1))
    return (above - below) / (2 * step) * curves.skew_error


def _with_loss(
    found: Optimum, budget: Budget, curve: Parabola, curves: Curves, level: float
) -> Optimum:
    """Return the optimum with the loss there.

    To first order it does not depend on the position of the minimum, so that it is a weighted sum
    of the losses of each seed.
    """
    weights, value = curve.value_weights(curve.vertex), curve.value(curve.vertex)
    shift = value - float(weights @ budget.means)  # by the skew
    shared = float((weights**2).sum()) * curves.misfit
    by_seed = {}
    if budget.has_same_seeds:
        by_seed = {
            seed: shift + float(weights @ [row[seed] for row in budget.losses])
            for seed in budget.losses[0]
        }
        of_seeds = float(np.var(list(by_seed.values()), ddof=1)) / len(by_seed)
        freedom = len(by_seed) - 1
    else:
        of_seeds, freedom = math.nan, 1
    parts = np.array([of_seeds, shared])
    freedoms = np.array([max(freedom, 1), max(curves.freedom, 1.0)])
    quantile = float(t_quantile(level, effective_freedom(parts, parts, freedoms)))
    half = quantile * math.sqrt(parts.sum())
    loss = Forecast(value, value - half, value + half)
    return dataclasses.replace(found, loss=loss, by_seed=by_seed, loss_variance=shared)
