"""The best learning rate as a power law of the size, and what it predicts for a larger size.

log(rate) = a + b log(size), through the best rates of the sizes that were searched. Two sizes leave
no evidence whether the law holds, and the interval is that of their errors; see
:mod:`lmlab.study.ladders.power_law`. With three or more it is the wider one of that and of the
interval by their scatter about the line, so that it covers the best rate whether or not the law
holds, and more often than it says where it does.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from lmlab.study.ladders.loss_forecast import Forecast
from lmlab.study.ladders.power_law import PowerLaw, fit_power_law
from lmlab.study.ladders.rate_error import RateError

_MISFIT_LEVEL = 0.1  # of the test whether rates are off the law


@dataclasses.dataclass(frozen=True)
class Drift:
    """The change of the best rate per doubling of the size, as a factor; 1 for none.

    Attributes:
        factor: the estimate.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    factor: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low > 1 or self.high < 1


@dataclasses.dataclass(frozen=True)
class RateLaw:
    """A power law of the best rate.

    Attributes:
        law: log(rate) against log(size).
        rates: the searched best rates, in the order of the sizes that were fitted.
    """

    law: PowerLaw
    rates: Sequence[RateError]

    @property
    def exponent(self) -> float:
        """The exponent b."""
        return self.law.slope

    @property
    def misfit_p(self) -> float:
        """P-value of rates off the law, by their errors; NaN for two sizes."""
        return self.law.scatter_p

    def predict(self, size: float, level: float = 0.1) -> Forecast:
        """Predict the best rate at a size.

        Args:
            size: in the unit of the sizes that were fitted.
            level: probability that the interval misses the best rate.
        """
        x = math.log(size)
        low, high = _wider(self.law.interval(x, level), self.law.interval_by_scatter(x, level))
        return Forecast(math.exp(self.law.log_value(x)), math.exp(low), math.exp(high))

    def loss_variance(self, size: float) -> float:
        """Return the variance that a transferred rate adds to the mean loss of its size.

        It is that of :mod:`lmlab.study.ladders.rate_error`: the second moment of the excess loss
        about zero, by the errors of the searched rates to first order, and by their scatter where
        these do not explain it. The curvature is that of the largest size that was searched.

        Args:
            size: in the unit of the sizes that were fitted.

        Returns:
            Nats squared; ``rate_variance`` of
            :class:`lmlab.study.ladders.ladder_losses.LadderLosses`.
        """
        x, nearest = math.log(size), self.rates[int(self.law.log_x.argmax())]
        first_order = [
            2 * one.excess / one.curvature if one.curvature > 0 else one.error**2
            for one in self.rates
        ]
        variance = float(self.law.combination(x) ** 2 @ first_order)
        if self.misfit_p < _MISFIT_LEVEL:
            variance = max(variance, self.law.scatter_variance(x))
        return 3 * (nearest.curvature / 2 * variance) ** 2

    def drift(self, level: float = 0.1) -> Drift:
        """Return the drift of the best rate per doubling of the size.

        Args:
            level: probability that the interval misses it.
        """
        low, high = _wider(
            self.law.slope_interval(level), self.law.slope_interval_by_scatter(level)
        )
        return Drift(2**self.exponent, 2**low, 2**high)


def fit_rate_law(
    sizes: Sequence[float], rates: Sequence[RateError], equal_weights: bool = False
) -> RateLaw:
    """Fit the power law of the best rate.

    Args:
        sizes: two different ones or more, such as widths, depths or numbers of parameters.
        rates: their searched best rates.
        equal_weights: fit by ordinary least squares, as for a rate that was transferred before
            errors were known; intervals are those of that line. Otherwise by the errors.

    Raises:
        ValueError: for fewer than two sizes; a single rate says nothing about another size.
    """
    if len(sizes) != len(rates) or len(set(sizes)) < 2:
        raise ValueError(f"a law of the rate: expected two sizes or more, found {list(sizes)}")
    return RateLaw(
        fit_power_law(
            sizes,
            [one.rate for one in rates],
            [one.error for one in rates],
            [one.freedom for one in rates],
            [1.0] * len(sizes) if equal_weights else None,
        ),
        list(rates),
    )


def _wider(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return the wider of two intervals about the same estimate, of which one may be unbounded."""
    if not math.isfinite(other[0]):
        return one
    return max(one, other, key=lambda ends: ends[1] - ends[0])
