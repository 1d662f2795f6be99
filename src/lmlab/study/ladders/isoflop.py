"""isoFLOP analysis: the best size and number of tokens as powers of the compute.

For each budget the best size is the minimum of a parabola; see
:mod:`lmlab.study.ladders.isoflop_optimum`. N*(C) and D*(C) are power laws through the budgets whose
minimum is located (Hoffmann et al. 2022, arXiv:2203.15556, section 3.2, approach 2); those at the
edge of their sizes are bounds and are left out. Intervals of the laws carry the errors of the
minima, and where these do not explain how far the minima are off the law, their scatter about it;
see :mod:`lmlab.study.ladders.power_law`. The loss at the minima against the compute is a power law
with an asymptote, as for a ladder; see :mod:`lmlab.study.ladders.scaling_fit`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from lmlab.study.ladders.isoflop_curves import Budget, Curves, fit_curves
from lmlab.study.ladders.isoflop_optimum import Optimum, find_optimum
from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.loss_forecast import MIN_RUNGS_FOR_FORECAST, Forecast, forecast_losses
from lmlab.study.ladders.power_law import PowerLaw, fit_power_law
from lmlab.study.ladders.scaling_fit import ScalingFit, fit_scaling

_SCATTER_LEVEL = 0.1  # of the test whether minima are off the law
_OPTIMUM = "optimum"


@dataclasses.dataclass(frozen=True)
class OptimumLaw:
    """A power law of the best size, or of its tokens, in the compute.

    Attributes:
        law: log(size) against log(FLOPs).
    """

    law: PowerLaw

    def exponent(self, level: float = 0.1) -> Forecast:
        """Return the exponent with its interval."""
        low, high = self._interval(
            self.law.slope_interval(level), self.law.slope_interval_by_scatter(level)
        )
        return Forecast(self.law.slope, low, high)

    def predict(self, flops: float, level: float = 0.1) -> Forecast:
        """Return the best size at a budget with its interval."""
        x = math.log(flops)
        low, high = self._interval(
            self.law.interval(x, level), self.law.interval_by_scatter(x, level)
        )
        return Forecast(math.exp(self.law.log_value(x)), math.exp(low), math.exp(high))

    @property
    def is_off(self) -> bool:
        """Whether the minima are farther off the law than their errors explain."""
        return self.law.scatter_p < _SCATTER_LEVEL

    def _interval(
        self, by_errors: tuple[float, float], by_scatter: tuple[float, float]
    ) -> tuple[float, float]:
        if not self.is_off:
            return by_errors
        return min(by_errors[0], by_scatter[0]), max(by_errors[1], by_scatter[1])


@dataclasses.dataclass(frozen=True)
class Recommendation:
    """What the analysis recommends and predicts for a budget.

    Attributes:
        parameters: best number of parameters, with its interval.
        tokens: training tokens, with their interval.
        loss: mean loss to be expected, with its prediction interval; None where no law of the loss
            was fitted.
    """

    parameters: Forecast
    tokens: Forecast
    loss: Forecast | None


@dataclasses.dataclass(frozen=True)
class IsoflopResult:
    """What an isoFLOP study shows.

    Attributes:
        optima: the best size for each budget, by compute.
        curves: what the curves of all budgets have in common, and what losses are off them.
        parameters: N*(C); None with fewer than two located minima.
        tokens: D*(C); None likewise.
        losses: losses at the located minima by seed; None with fewer than three of them, or fewer
            than two seeds that all sizes have.
        loss_law: power law of these; None likewise.
    """

    optima: Sequence[Optimum]
    curves: Curves
    parameters: OptimumLaw | None
    tokens: OptimumLaw | None
    losses: LadderLosses | None
    loss_law: ScalingFit | None

    def recommend(
        self, flops: float, seeds: int = 1, level: float = 0.1, max_factor: float = 10.0
    ) -> Recommendation:
        """Return the best size, its tokens and its loss at a budget.

        Args:
            flops: training compute.
            seeds: number of runs whose mean loss is predicted.
            level: probability that an interval misses.
            max_factor: largest factor of the compute beyond the outermost located minima.

        Raises:
            ValueError: if no law was fitted, or the compute is further than that beyond them.
        """
        if self.parameters is None or self.tokens is None:
            raise ValueError("isoFLOP: expected two budgets whose minimum is between the sizes")
        located = [one.flops for one in self.optima if one.is_located]
        low, high = min(located) / max_factor, max(located) * max_factor
        if not low * (1 - 1e-9) <= flops <= high * (1 + 1e-9):
            raise ValueError(
                f"isoFLOP at {flops:.3g} FLOPs: expected {low:.3g} to {high:.3g}, at most "
                f"{max_factor:g} times beyond the budgets"
            )
        loss = None
        if self.losses is not None and self.loss_law is not None:
            cost = {_OPTIMUM: flops}
            loss = forecast_losses(self.losses, self.loss_law, cost, seeds, level)[_OPTIMUM]
        return Recommendation(
            self.parameters.predict(flops, level), self.tokens.predict(flops, level), loss
        )


def analyse_isoflop(
    budgets: Sequence[Budget], level: float = 0.1, floor: float = 0.0
) -> IsoflopResult:
    """Return what an isoFLOP study shows.

    Args:
        budgets: the runs of each budget; each budget once.
        level: probability that an interval misses the true value.
        floor: known lower bound of the loss, in nats per token: 0, or the entropy of the text.

    Raises:
        ValueError: if two budgets are equal, or nothing tells the noise.
    """
    ordered = sorted(budgets, key=lambda budget: budget.flops)
    if not ordered or len({budget.flops for budget in ordered}) < len(ordered):
        raise ValueError("isoFLOP: expected one budget or more, each with a compute of its own")
    curves = fit_curves(ordered)
    optima = [find_optimum(budget, curves, level) for budget in ordered]
    located = [one for one in optima if one.is_located]
    losses = _losses(located, floor)
    return IsoflopResult(
        optima,
        curves,
        _law(located, [one.parameters.value for one in located], [1.0] * len(located)),
        _law(located, [one.tokens.value for one in located], [one.token_slope for one in located]),
        losses,
        None if losses is None else fit_scaling(losses),
    )


def _law(
    located: Sequence[Optimum], values: Sequence[float], slopes: Sequence[float]
) -> OptimumLaw | None:
    """Return a power law through minima; ``slopes`` are those of log(value) by log(parameters)."""
    if len(located) < 2:
        return None
    pairs = list(zip(located, slopes, strict=True))
    return OptimumLaw(
        fit_power_law(
            [one.flops for one in located],
            values,
            [max(one.error * abs(slope), 1e-9) for one, slope in pairs],
            [one.freedom for one in located],
            shared=[one.skew_error * slope for one, slope in pairs],
        )
    )


def _losses(located: Sequence[Optimum], floor: float) -> LadderLosses | None:
    if len(located) < MIN_RUNGS_FOR_FORECAST or not all(one.by_seed for one in located):
        return None
    return LadderLosses(
        {_OPTIMUM: [one.by_seed for one in located]},
        {_OPTIMUM: [one.flops for one in located]},
        {_OPTIMUM: [one.loss_variance for one in located]},
        floor,
    )
