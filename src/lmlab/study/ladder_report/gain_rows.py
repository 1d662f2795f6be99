"""Gains, trends and verdicts of a ladder as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmlab.study.ladder_report.wording import bounded
from lmlab.study.ladders.compute_gain import Gain, as_factor
from lmlab.study.ladders.gain_trend import GainTrend
from lmlab.study.ladders.scaling import LadderResult
from lmlab.study.run_section import finite

_BAND_POINTS = 25
LOG_TEN = math.log(10)


def gain_row(gain: Gain, cost: float) -> dict[str, Any]:
    """Return the gain at one rung.

    Returns:
        ``rung``, from 0; ``cost`` of the baseline; ``gain``, None where there is only a ``bound``
        (``at least`` or ``at most``) of ``bound_gain``; ``low`` and ``high``, None where the
        ladder does not bound them; ``misfit``, the factor by which one standard deviation of the
        misfit between rungs changes the gain.
    """
    return {
        "rung": gain.rung,
        "cost": cost,
        "gain": bounded(gain.log_gain),
        "low": bounded(gain.low),
        "high": bounded(gain.high),
        "bound": gain.bound,
        "bound_gain": bounded(gain.bound_log_gain),
        "misfit": bounded(gain.misfit_error),
    }


def gains_of(result: LadderResult, alpha: float, replicate: str | None) -> list[dict[str, Any]]:
    """Return the gains of each arm, with their trend.

    Args:
        result: of the ladder.
        alpha: probability that an interval misses.
        replicate: name of the replicate.
    """
    cost = result.ladder.cost[result.baseline]
    return [
        {
            "arm": arm,
            "is_replicate": arm == replicate,
            "rungs": [gain_row(gain, cost[gain.rung]) for gain in gains],
            "trend": _trend(result.trends[arm], alpha, cost) if arm in result.trends else None,
        }
        for arm, gains in result.gains.items()
    ]


def _trend(trend: GainTrend, alpha: float, cost: Sequence[float]) -> dict[str, Any]:
    """Return the change per tenfold cost, and the line of the gains with its band."""
    slope = trend.slope
    low, high = slope.interval(alpha)
    grid = np.linspace(math.log(cost[0]), math.log(cost[-1]), _BAND_POINTS)
    line = [trend.at(float(x)) for x in grid]
    ends = [one.interval(alpha) for one in line]
    return {
        "factor": as_factor(LOG_TEN * slope.estimate),
        "low": bounded(LOG_TEN * low),
        "high": bounded(LOG_TEN * high),
        "misfit_p": finite(trend.misfit_p),
        "cost": np.exp(grid).tolist(),
        "line": [as_factor(one.estimate) for one in line],
        "band_low": [as_factor(one) for one, _ in ends],
        "band_high": [as_factor(one) for _, one in ends],
    }
