"""Power of a ladder before it is run: chances of each verdict, and widths of intervals.

Few seeds, degrees of freedom that depend on the noise, and a gatekeeper leave no closed form. So
ladders are drawn from the expected curves and noise, and judged as real ones are.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from lmlab.study.ladders.compute_gain import compute_gains
from lmlab.study.ladders.gain_trend import fit_trend
from lmlab.study.ladders.ladder_losses import Array, LadderLosses
from lmlab.study.ladders.ladder_verdict import CANNOT_TELL, LadderRule, judge_trends
from lmlab.study.ladders.scaling_fit import fit_scaling


@dataclasses.dataclass(frozen=True)
class PlannedLadder:
    """What is expected of the baseline and of one arm.

    Attributes:
        cost: of the rungs, from the lowest; in FLOPs or seconds.
        seeds: number of seeds of each rung.
        sd: standard deviation of one run of the baseline at each rung, in nats.
        losses: expected losses of the baseline at the lowest and the highest rung.
        asymptote: expected E, in nats per token.
        floor: lower bound of E that the analysis will know.
        arm_noise: standard deviation of one run of the arm over that of the baseline.
        correlation: of baseline and arm with the same seed.
        paired: whether the arm shares its seeds with the baseline; a replicate does not.
        rate_sd: standard deviation of the mean loss of each rung by the learning rate, in nats.
    """

    cost: Sequence[float]
    seeds: Sequence[int]
    sd: Sequence[float]
    losses: tuple[float, float]
    asymptote: float
    floor: float = 0.0
    arm_noise: float = 1.0
    correlation: float = 0.5
    paired: bool = True
    rate_sd: Sequence[float] = ()

    def draw(self, first: float, last: float, chance: np.random.Generator) -> LadderLosses:
        """Return a ladder of ``arm`` and ``baseline``.

        Args:
            first: true log gain of the arm at the lowest rung.
            last: true log gain at the highest rung; linear in log cost between.
            chance: source of random numbers.
        """
        x = np.log(np.asarray(self.cost, float))
        gain = first + (last - first) * (x - x[0]) / (x[-1] - x[0])
        rate_sd = np.asarray(self.rate_sd or np.zeros(len(x)), float)
        rows: dict[str, list[dict[int, float]]] = {"arm": [], "baseline": []}
        correlation = self.correlation if self.paired else 0.0
        for rung, count in enumerate(self.seeds):
            shared = math.sqrt(correlation) * chance.normal(size=count)
            for name, at, sd in (
                ("arm", x[rung] + gain[rung], self.arm_noise * self.sd[rung]),
                ("baseline", x[rung], self.sd[rung]),
            ):
                own = math.sqrt(1 - correlation) * chance.normal(size=count)
                noise = sd * (shared + own) + rate_sd[rung] * chance.normal()
                start = count if name == "arm" and not self.paired else 0
                rows[name].append(dict(enumerate(map(float, self._loss(at) + noise), start)))
        variance = {name: list(rate_sd**2) for name in rows}
        return LadderLosses(rows, {name: list(self.cost) for name in rows}, variance, self.floor)

    def _loss(self, log_cost: float) -> Array:
        """Expected loss of the baseline at a log cost, by the power law through both ends."""
        low, high = math.log(self.cost[0]), math.log(self.cost[-1])
        first, last = (math.log(loss - self.asymptote) for loss in self.losses)
        share = (log_cost - low) / (high - low)
        return np.asarray(self.asymptote + math.exp(first + (last - first) * share))


@dataclasses.dataclass(frozen=True)
class LadderPower:
    """What a planned ladder would show.

    Attributes:
        words: probability of each verdict, by word; they sum to 1.
        half_widths: median half-width of the interval of the log gain, by rung.
    """

    words: Mapping[str, float]
    half_widths: tuple[float, ...]


def predict_power(
    plan: PlannedLadder,
    first: float,
    last: float,
    rule: LadderRule | None = None,
    family: int = 1,
    draws: int = 400,
    level: float = 0.1,
) -> LadderPower:
    """Predict the verdicts on an arm with a given true gain.

    It takes about 10 ms per draw. The probabilities have standard errors of at most 0.5 /
    sqrt(draws).

    Args:
        plan: the ladder.
        first: true log gain at the lowest rung.
        last: true log gain at the highest rung.
        rule: how verdicts are made; None for the default.
        family: number of arms; the prediction is for the first and hardest step of Holm's method.
        draws: number of ladders drawn; the same ones at every call.
        level: probability that an interval misses the true gain.
    """
    chance, words = np.random.default_rng(1), collections.Counter[str]()
    widths = []
    for _ in range(draws):
        ladder = plan.draw(first, last, chance)
        fit = fit_scaling(ladder)
        gains = compute_gains(ladder, fit, level)
        widths.append([(gain.high - gain.low) / 2 for gain in gains])
        trend = fit_trend(ladder, fit, gains)
        label = CANNOT_TELL
        if trend is not None:
            label = judge_trends({"arm": trend}, rule or LadderRule(), family)["arm"].label
        words[label] += 1
    return LadderPower(
        {word: count / draws for word, count in words.most_common()},
        tuple(map(float, np.median(widths, axis=0))),
    )
