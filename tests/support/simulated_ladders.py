"""Simulated ladders with a known truth: what their analysis shows, and what a plan predicts.

The analysis is the one of the reports; the generator shares nothing with it. The table of many
kinds of ladders is that of ``tests/support/ladder_table.py``.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
from ladder_truths import ARM_SD, BROKEN, CORRELATION, ENTROPY, GAINS, RATE_SD, Cell

from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.ladder_power import PlannedLadder, predict_power
from lmlab.study.ladders.scaling import LadderResult, analyse_ladder, forecast_rung

LEVEL = 0.1  # of the intervals


@dataclasses.dataclass
class Score:
    """What the ladders of one cell showed.

    Attributes:
        gains: for each ladder, whether the interval of each rung contains the truth.
        slope: for each ladder with a trend, whether that of the slope does.
        losses: for each ladder, the share of loss forecasts that contain the loss.
        gain: for each ladder that allows it, whether the forecast of the gain does.
        widths: widths of the intervals of the log gain at the last rung.
        words: how often each verdict was given.
    """

    gains: list[list[bool]] = dataclasses.field(default_factory=list)
    slope: list[float] = dataclasses.field(default_factory=list)
    losses: list[float] = dataclasses.field(default_factory=list)
    gain: list[float] = dataclasses.field(default_factory=list)
    widths: list[float] = dataclasses.field(default_factory=list)
    words: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


def simulate(cell: Cell, ladders: int, seed: Sequence[int]) -> Score:
    """Analyse ladders of one cell and compare with the truth."""
    chance, score = np.random.default_rng(seed), Score()
    truths = {
        way: np.array([cell.true_log_gain(x, way) for x in cell.log_cost]) for way in ("down", "up")
    }
    for _ in range(ladders):
        ladder = cell.draw(chance)
        result = analyse_ladder(ladder, "baseline", level=LEVEL)
        gains = result.gains["arm"]
        true = np.array([truths[gain.direction][gain.rung] for gain in gains])
        score.gains.append(
            [gain.low <= one <= gain.high for gain, one in zip(gains, true, strict=True)]
        )
        score.widths.append(gains[-1].high - gains[-1].low)
        if "arm" in result.trends:
            trend = result.trends["arm"]
            known = [gain.rung for gain in gains if not gain.bound]
            low, high = trend.slope.interval(LEVEL)
            score.slope.append(low <= float(trend.slope_coefficients @ true[known]) <= high)
        word = result.verdicts["arm"].label if "arm" in result.verdicts else "cannot tell"
        score.words[word] += 1
        if cell.rungs > 3:  # two rungs below the top forecast nothing
            _score_forecast(ladder, result, score)
    return score


def _score_forecast(ladder: LadderLosses, result: LadderResult, score: Score) -> None:
    """Forecast the top rung from those below it and compare with what it showed."""
    below = analyse_ladder(ladder.first(ladder.num_rungs - 1), "baseline", level=LEVEL)
    cost = {arm: ladder.cost[arm][-1] for arm in ladder.arms}
    forecast = forecast_rung(below, cost, int(ladder.seeds[0, -1]), LEVEL, max_factor=100)
    shown = dict(zip(ladder.arms, ladder.mean[:, -1], strict=True))
    score.losses.append(
        float(np.mean([forecast.losses[arm].contains(shown[arm]) for arm in ladder.arms]))
    )
    top = result.gains["arm"][-1]
    if "arm" in forecast.log_gains and not top.bound:
        score.gain.append(forecast.log_gains["arm"].contains(top.log_gain))


def planned_words(cell: Cell, draws: int) -> collections.Counter[str]:
    """Return how often a plan of the cell says that each verdict would be given, in draws.

    Empty for a broken power law, which no plan expects.
    """
    if cell.asymptote in BROKEN:
        return collections.Counter()
    x = cell.log_cost
    sd = cell.run_sd(x)
    plan = PlannedLadder(
        cost=list(np.exp(x)),
        seeds=[cell.seeds] * cell.rungs,
        sd=list(sd),
        losses=(cell.baseline_loss(x[0]), cell.baseline_loss(x[-1])),
        asymptote=ENTROPY,
        floor=ENTROPY if cell.asymptote == "known" else 0.0,
        arm_noise=ARM_SD,
        correlation=CORRELATION,
        paired=cell.paired,
        rate_sd=list(RATE_SD * sd),
    )
    gain = GAINS[cell.gain]
    words = predict_power(plan, gain(0.0), gain(1.0), draws=draws).words
    return collections.Counter({word: round(draws * share) for word, share in words.items()})
