"""What a ladder shows: power laws, gains by rung, their trends, verdicts and forecasts.

One call analyses one axis. For gains in wall-clock time, call it with the seconds of the rungs as
cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from lmlab.study.ladders.compute_gain import Gain, compute_gains
from lmlab.study.ladders.gain_trend import GainTrend, fit_trend
from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.ladder_verdict import LadderRule, LadderVerdict, judge_trends
from lmlab.study.ladders.loss_forecast import (
    MIN_RUNGS_FOR_FORECAST,
    Forecast,
    forecast_gain,
    forecast_losses,
)
from lmlab.study.ladders.scaling_fit import ScalingFit, fit_each, fit_scaling, misfit_sd


@dataclasses.dataclass(frozen=True)
class LadderResult:
    """What a ladder shows.

    Attributes:
        ladder: the losses.
        baseline: name of the baseline.
        shared: power laws of all arms with one asymptote.
        free: power laws of each arm with an asymptote of its own.
        misfit: for each arm, the standard deviation between rungs that seed noise does not explain,
            about its own power law, in nats; NaN for fewer than four rungs.
        gains: for each arm but the baseline, the gain at every rung.
        trends: for each arm with a gain at two rungs or more, their trend.
        verdicts: for each arm with a trend.
    """

    ladder: LadderLosses
    baseline: str
    shared: ScalingFit
    free: Mapping[str, ScalingFit]
    misfit: Mapping[str, float]
    gains: Mapping[str, list[Gain]]
    trends: Mapping[str, GainTrend]
    verdicts: Mapping[str, LadderVerdict]


@dataclasses.dataclass(frozen=True)
class LadderForecast:
    """Forecasts for a further rung.

    Attributes:
        cost: cost of the rung by arm.
        losses: mean losses of the rung, in nats per token, by arm.
        log_gains: measured log gains by arm, for arms that have a trend.
    """

    cost: Mapping[str, float]
    losses: Mapping[str, Forecast]
    log_gains: Mapping[str, Forecast]


def analyse_ladder(
    ladder: LadderLosses,
    baseline: str,
    rule: LadderRule | None = None,
    replicate: str | None = None,
    family: int | None = None,
    level: float = 0.1,
) -> LadderResult:
    """Return what a ladder shows.

    Args:
        ladder: losses and costs of all arms.
        baseline: name of the baseline.
        rule: how verdicts are made; None for the default.
        replicate: arm that repeats the baseline with other seeds. It is no hypothesis of the study
            and is judged by itself.
        family: number of arms that the study announced; None for the number of arms with a trend.
        level: probability that the interval of a gain misses its true value.
    """
    rule = rule or LadderRule()
    gains, trends = {}, {}
    for arm in ladder.arms:
        if arm == baseline:
            continue
        pair = ladder.pair(arm, baseline)
        if arm == replicate:  # at the baseline's rates, whose errors cancel
            pair = dataclasses.replace(pair, rate_variance={})
        fit = fit_scaling(pair)
        gains[arm] = compute_gains(pair, fit, level)
        trend = fit_trend(pair, fit, gains[arm])
        if trend is not None:
            trends[arm] = trend
    tested = {arm: trend for arm, trend in trends.items() if arm != replicate}
    verdicts = judge_trends(tested, rule, family)
    if replicate in trends:
        verdicts |= judge_trends({replicate: trends[replicate]}, rule)
    free = fit_each(ladder)
    return LadderResult(
        ladder,
        baseline,
        fit_scaling(ladder),
        free,
        {arm: misfit_sd(ladder.only(arm), fit) for arm, fit in free.items()},
        gains,
        trends,
        verdicts,
    )


def forecast_rung(
    result: LadderResult,
    cost: Mapping[str, float],
    seeds: int,
    level: float = 0.1,
    max_factor: float = 10.0,
) -> LadderForecast:
    """Forecast what a further rung will show.

    Args:
        result: of the rungs below.
        cost: of the new rung by arm, in the unit of the ladder.
        seeds: number of seeds of the new rung.
        level: probability that an interval misses.
        max_factor: largest factor of the baseline's cost beyond the last rung, for gains.

    Raises:
        ValueError: if the rungs are too few for a power law, or the cost is further than
            ``max_factor`` beyond the last rung.
    """
    if result.ladder.num_rungs < MIN_RUNGS_FOR_FORECAST:
        raise ValueError(
            f"a forecast from {result.ladder.num_rungs} rungs: expected "
            f"{MIN_RUNGS_FOR_FORECAST} or more, because a power law has three constants"
        )
    return LadderForecast(
        dict(cost),
        forecast_losses(result.ladder, result.shared, cost, seeds, level),
        {
            arm: forecast_gain(trend, cost[result.baseline], seeds, level, max_factor)
            for arm, trend in result.trends.items()
        },
    )
