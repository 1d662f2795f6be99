"""Forecasts of losses and gains at a further rung, with prediction intervals.

A forecast predicts what the rung will show: the mean loss over its seeds, and the gain measured
there. Its error has four parts: the noise of the rungs below, through their influence on the power
law; what they leave open about the asymptote; the misfit between rungs, of which the new rung has
its own; and the noise of the new seeds and learning rates. The variances are added, and the
quantile is that of a t distribution with Satterthwaite's degrees of freedom, as for any prediction
interval of a regression (Draper and Smith 1998, Applied Regression Analysis).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from lmlab.study.ladders.gain_trend import GainTrend
from lmlab.study.ladders.ladder_losses import Array, LadderLosses, t_quantile
from lmlab.study.ladders.scaling_fit import ScalingFit, misfit_sd

MIN_RUNGS_FOR_FORECAST = 3  # a power law with an asymptote has three constants


@dataclasses.dataclass(frozen=True)
class Forecast:
    """A value with its interval: a loss in nats per token, a log gain, a size or a rate."""

    value: float
    low: float
    high: float

    def contains(self, value: float) -> bool:
        """Whether a value lies within the interval."""
        return self.low <= value <= self.high


def forecast_losses(
    ladder: LadderLosses,
    fit: ScalingFit,
    cost: Mapping[str, float],
    seeds: int,
    level: float = 0.1,
) -> dict[str, Forecast]:
    """Forecast the mean loss of every arm at a further rung.

    The learning rates of the new rung are as uncertain as those of the last one.

    Args:
        ladder: the losses of the rungs below.
        fit: the power laws of all its arms.
        cost: of the new rung by arm, in the unit of the ladder.
        seeds: number of seeds of the new rung.
        level: probability that an interval misses the mean loss of the new rung.
    """
    log_cost = np.log([cost[arm] for arm in ladder.arms])
    noise = ladder.smooth_sd(log_cost[:, None])[:, 0]
    noise_freedom = ladder.smooth_freedom(log_cost)
    misfit = misfit_sd(ladder, fit)
    misfit = 0.0 if math.isnan(misfit) else misfit
    found = {}
    for index, arm in enumerate(ladder.arms):
        value = float(fit.loss(index, log_cost[index]))
        weights, by_asymptote = _influence(ladder, fit, index, float(log_cost[index]))
        known = (
            (by_asymptote * fit.range_error) ** 2
            + misfit**2 * (1 + (weights**2).sum())
            + noise[index] ** 2 / seeds
            + ladder.rate_var[index, -1]
        )
        error, freedom = ladder.error(weights, known)
        own = noise[index] ** 2 / seeds / float(error) ** 2 if error else 0.0
        all_freedom = _with_part(float(freedom), own, float(noise_freedom[index]))
        half = float(t_quantile(level, all_freedom) * error)
        found[arm] = Forecast(value, value - half, value + half)
    return found


def forecast_gain(
    trend: GainTrend, cost: float, seeds: int, level: float = 0.1, max_factor: float = 10.0
) -> Forecast:
    """Forecast the log gain that a further rung will show, by the line of the trend.

    Args:
        trend: line through the log gains of the rungs below.
        cost: of the new rung for the baseline, in the unit of the ladder.
        seeds: number of seeds of the new rung.
        level: probability that the interval misses the measured log gain.
        max_factor: largest factor of the cost beyond the last rung.

    Raises:
        ValueError: if the cost is further than that beyond the last rung.
    """
    line = trend.at(math.log(cost), max_factor)
    own = trend.noise_at(math.log(cost), seeds)
    error = math.hypot(line.error, own)
    freedom = line.freedom * (error / line.error) ** 4 if line.error else math.inf
    noise_freedom = float(trend.pair.smooth_freedom(np.full(2, math.log(cost))).min())
    freedom = _with_part(freedom, (own / error) ** 2 if error else 0.0, noise_freedom)
    half = float(t_quantile(level, freedom)) * error
    return Forecast(line.estimate, line.estimate - half, line.estimate + half)


def _with_part(freedom: float, share: float, own: float) -> float:
    """Return Satterthwaite's degrees of freedom if a part of a variance is not known after all.

    Args:
        freedom: degrees of freedom with the part as known.
        share: part over the whole variance.
        own: degrees of freedom of the part.
    """
    total = 1 / freedom + share**2 / own
    return 1 / total if total > 0 else math.inf


def _influence(
    ladder: LadderLosses, fit: ScalingFit, arm: int, log_cost: float
) -> tuple[Array, float]:
    """Return the derivatives of a fitted loss by the mean losses, and by E alone.

    Returns:
        Derivatives of shape (arms, rungs), with those through E; the derivative by E.
    """
    above = fit.means[arm] - fit.asymptote
    weights = fit.weights[arm] * above**2
    share = weights / weights.sum()
    x = ladder.log_cost[arm]
    middle = share @ x
    line = share * (1 + (log_cost - middle) * (x - middle) / (share @ (x - middle) ** 2))
    own = (float(fit.loss(arm, log_cost)) - fit.asymptote) * line / above
    by_asymptote = 1 - float(own.sum())
    total = by_asymptote * fit.influence
    total[arm] += own
    return total, by_asymptote
