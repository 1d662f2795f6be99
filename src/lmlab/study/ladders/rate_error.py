"""How far the noise of a search leaves the best learning rate open, and what that costs.

A search takes the vertex of the parabola in log(rate) through the best rate and its neighbours. The
vertex moves with the three mean losses, and how far is known from the parabola. The noise of the
losses comes from what there is:

- three tuning seeds or more: from the covariance of the losses at the three rates over seeds. The
  shift that a seed causes at all rates alike cancels, and it counts that a seed may have an optimum
  of its own;
- two: from the differences that remain beside rate and seed, taken as independent, because a single
  difference per combination would be all the evidence;
- one: from the deviations of all rates near the best one from a parabola, so that its misfit counts
  as noise; with fewer than five rates, from the noise that the study assumes.

The interval of the best rate is Fieller's, because the bend of the parabola is uncertain too, and
the standard error is that of a t interval of the same width. It is at most that of a rate anywhere
among those tried: the search has looked beyond them.

Training at a rate that is d in log(rate) from the best one costs the excess loss ``curvature / 2 *
d^2``. For d normal with the standard deviation t, that has the mean ``curvature / 2 * t^2`` and the
second moment ``3 / 4 * curvature^2 * t^4`` about zero. Here t is that of the vertex to first order
(the delta method): where the bend is uncertain, the best rate is far less known than that, but then
little is lost. The mean loss of a rung is not corrected for the mean of the excess, so the second
moment about zero is the variance that the learning rate adds to it (``rate_variance`` of
:class:`lmlab.study.ladders.ladder_losses.LadderLosses`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from lmlab.design.confirmation import ConfirmedSearch
from lmlab.design.search import Trials
from lmlab.study.ladders.ladder_losses import Array, t_quantile
from lmlab.study.ladders.parabola import Parabola, fit_parabola

_ROUNDING = 0.005 / math.sqrt(3)  # of a rate with three digits, at most
_NEAR = 2.5  # steps from the best rate; the loss farther away is no parabola
_MIN_RATES = 5  # of one seed, to tell noise from a parabola


@dataclasses.dataclass(frozen=True)
class RateError:
    """A searched best rate and its uncertainty.

    Attributes:
        rate: the best rate that the search gave.
        error: standard error of log(rate).
        freedom: degrees of freedom of ``error``; infinite where the noise is assumed.
        curvature: second derivative of the loss by log(rate), in nats.
        excess: expected loss at the rate above that at the best one, in nats per token.
        low: lower end of the interval of the best rate; 0 where the losses do not bound it.
        high: upper end; inf where the losses do not bound it.
        is_located: whether there is a parabola with a minimum. Without one the error is that of a
            rate anywhere among those tried.
    """

    rate: float
    error: float
    freedom: float
    curvature: float
    excess: float
    low: float
    high: float
    is_located: bool

    @property
    def loss_variance(self) -> float:
        """Variance that the rate adds to the mean loss of its rung, in nats squared."""
        return 3 * self.excess**2


def searched_rate(search: ConfirmedSearch, trials: Trials, level: float = 0.1) -> RateError | None:
    """Return the best rate of a search with its uncertainty.

    Args:
        search: the search, with its confirmation.
        trials: outcomes of its runs.
        level: probability that the interval misses the best rate.

    Returns:
        None while the search is unfinished, or if fewer than two rates train.
    """
    rate, losses = search.best_lr(trials), search.search.losses(trials)
    fitted = search.fitted_rates(trials)
    if rate is None or len(fitted) < 2:
        return None
    return rate_error(losses, fitted, rate, search.expected_sd, level)


def rate_error(
    losses: Mapping[float, Mapping[int, float]],
    fitted: Sequence[float],
    rate: float,
    expected_sd: float,
    level: float = 0.1,
) -> RateError:
    """Return the uncertainty of a best rate.

    Args:
        losses: final losses by rate and seed, in nats per token.
        fitted: the rates that the best one rests on, ascending: that with the lowest mean and its
            neighbours, of which one may be missing.
        rate: the best rate: the vertex, or one near to it.
        expected_sd: standard deviation of the loss over seeds to assume where nothing tells.
        level: probability that the interval misses the best rate.
    """
    seeds = sorted(set.intersection(*(set(losses[one]) for one in fitted)))
    values = np.array([[losses[one][seed] for seed in seeds] for one in fitted])
    x, means = np.log(fitted), values.mean(1)
    step = float(np.ptp(x)) / (len(fitted) - 1)
    tried = [one for one in losses if abs(math.log(one / rate)) < _NEAR * step]
    most = max(math.log(max(tried) / min(tried)) / 2, step) / math.sqrt(3)
    curve = fit_parabola(x, means) if len(fitted) == 3 else None
    if curve is None or curve.bend <= 0:
        curvature = 2 * float((means - means.min()).sum()) / (len(means) - 1) / step**2
        excess = curvature / 2 * most**2
        return RateError(rate, most, math.inf, curvature, excess, 0.0, math.inf, False)
    covariance, freedom = _covariance(losses, fitted, values, expected_sd)
    quantile = float(t_quantile(level, freedom))
    low, high = curve.vertex_interval(covariance, quantile)
    influence, away = curve.vertex_influence, math.log(rate) - curve.vertex
    variance = max(float(influence @ covariance @ influence), 0.0)  # rounding may leave it below
    first_order = math.hypot(math.sqrt(variance), away, _ROUNDING)
    error = math.hypot((high - low) / 2 / quantile, away, _ROUNDING)
    return RateError(
        rate,
        min(error, most),
        freedom,
        2 * curve.bend,
        curve.bend * min(first_order, most) ** 2,
        math.exp(low),
        math.exp(high) if high < math.inf else math.inf,
        True,
    )


def _covariance(
    losses: Mapping[float, Mapping[int, float]],
    fitted: Sequence[float],
    values: Array,
    expected_sd: float,
) -> tuple[Array, float]:
    """Return the covariance of the mean losses at the fitted rates, and its degrees of freedom.

    Only differences between rates matter, so that it may lack what a seed adds to all of them.

    Args:
        losses: by rate and seed.
        fitted: three rates.
        values: their losses, of shape (rates, seeds).
        expected_sd: standard deviation over seeds to assume.
    """
    rates, seeds = values.shape
    if seeds >= 3:
        return np.cov(values) / seeds, seeds - 1.0
    if seeds == 2:
        rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
        freedom = (rates - 1) * (seeds - 1)
        return np.eye(rates) * float((rest**2).sum()) / freedom / seeds, float(freedom)
    sd, freedom = _sd_about_parabola(losses, fitted)
    return np.eye(rates) * (sd if freedom else expected_sd) ** 2, float(freedom or math.inf)


def _sd_about_parabola(
    losses: Mapping[float, Mapping[int, float]], fitted: Sequence[float]
) -> tuple[float, int]:
    """Return the standard deviation of single runs about a parabola, and its degrees of freedom.

    The degrees of freedom are 0 where the rates are too few.
    """
    step = math.log(fitted[-1] / fitted[0]) / 2
    near = [rate for rate in losses if abs(math.log(rate / fitted[1])) < _NEAR * step]
    if len(near) < _MIN_RATES:
        return 0.0, 0
    means = [sum(losses[rate].values()) / len(losses[rate]) for rate in near]
    curve: Parabola = fit_parabola(np.log(near), means)
    freedom = len(near) - 3
    return math.sqrt(float((curve.residuals() ** 2).sum()) / freedom), freedom
