"""Ladders with a known truth: the curve of the baseline, the gain of the arm, the noise of runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import optimize

from lmlab.study.ladders.ladder_losses import Array, LadderLosses

LOWEST_COST, SPAN = 4e11, 100.0  # training FLOPs of the lowest rung; top over lowest
ENTROPY, AMPLITUDE, EXPONENT = 1.7, 3.0, 0.165  # nats per token, at the lowest cost
SHARPNESS = 0.3  # of the break of a broken power law
SD = 0.009  # nats; of runs of the baseline, in the middle of the ladder
ARM_SD = 1.5  # times that of the baseline
CORRELATION = 0.5  # of runs of arm and baseline with the same seed
RATE_SD = 0.4  # times the standard deviation of runs of the rung

# The log gain against z = log cost over that of the lowest rung, as a share of log SPAN.
GAINS: dict[str, Callable[[float], float]] = {
    "none": lambda z: 0.0,
    "constant 1.3": lambda z: math.log(1.3),
    "shrinking 1.5 to 1.1": lambda z: math.log(1.5) + z * math.log(1.1 / 1.5),
    "reversing 1.3 to 0.8": lambda z: math.log(1.3) + z * math.log(0.8 / 1.3),
}
# The standard deviation of runs against z, as a factor of SD.
NOISES: dict[str, Callable[[Array], Array]] = {
    "falls 10x": lambda z: 10.0 ** (0.5 - z),
    "equal": lambda z: np.ones_like(z),
    "rises 10x": lambda z: 10.0 ** (z - 0.5),
}
# Exponents of broken power laws below and above the middle of the ladder.
BROKEN = {"broken law": (0.12, 0.24), "slightly broken law": (0.15, 0.18)}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One kind of simulated ladder.

    Attributes:
        gain: one of :data:`GAINS`.
        rungs: number of rungs, spaced evenly in log cost.
        seeds: number of seeds of every rung.
        asymptote: ``known``: the lower bound of E is E itself; ``unknown``: it is 0;
            one of :data:`BROKEN`: it is 0, and the exponent changes in the middle of the ladder.
        noise: one of :data:`NOISES`.
        paired: whether the arm shares its seeds with the baseline; a replicate does not.
    """

    gain: str
    rungs: int = 5
    seeds: int = 3
    asymptote: str = "unknown"
    noise: str = "falls 10x"
    paired: bool = True

    @property
    def log_cost(self) -> npt.NDArray[np.float64]:
        """Natural log of the cost of the rungs, of shape (rungs,)."""
        return math.log(LOWEST_COST) + np.linspace(0, math.log(SPAN), self.rungs)

    def baseline_loss(self, log_cost: float) -> float:
        """Return the expected loss of the baseline, in nats per token."""
        x = log_cost - math.log(LOWEST_COST)
        if self.asymptote not in BROKEN:
            return ENTROPY + AMPLITUDE * math.exp(-EXPONENT * x)
        # Caballero et al. (2022, arXiv:2210.14891), equation 1, with one break.
        bend = np.logaddexp(0, (x - math.log(SPAN) / 2) / SHARPNESS) * SHARPNESS
        lower, upper = BROKEN[self.asymptote]
        exponent = lower * x + (upper - lower) * bend
        return ENTROPY + AMPLITUDE * math.exp(-exponent)

    def arm_loss(self, log_cost: float) -> float:
        """Return the expected loss of the arm: the baseline's at the gain times the cost."""
        z = (log_cost - math.log(LOWEST_COST)) / math.log(SPAN)
        return self.baseline_loss(log_cost + GAINS[self.gain](z))

    def true_log_gain(self, log_cost: float, direction: str) -> float:
        """Return the log gain at a cost, read downward or upward; found by bisection."""
        arm, base = self.arm_loss(log_cost), self.baseline_loss(log_cost)
        if abs(arm - base) < 1e-12:
            return 0.0
        reads_arm = (arm < base) == (direction == "down")
        curve, target = (self.arm_loss, base) if reads_arm else (self.baseline_loss, arm)
        low, high = (-5.0, 0.0) if direction == "down" else (0.0, 5.0)
        away = optimize.brentq(lambda d: curve(log_cost + d) - target, low, high, xtol=1e-12)
        return -away if reads_arm else away

    def run_sd(self, log_cost: Array) -> Array:
        """Return the standard deviation of runs of the baseline."""
        return SD * NOISES[self.noise]((log_cost - math.log(LOWEST_COST)) / math.log(SPAN))

    def draw(self, chance: np.random.Generator) -> LadderLosses:
        """Return one ladder of ``baseline`` and ``arm``."""
        x = self.log_cost
        sd, shape = self.run_sd(x)[:, None], (self.rungs, self.seeds)
        shared = math.sqrt(CORRELATION) * chance.normal(size=shape)
        rows, rate_variance = {}, {}
        for name, scale, true in (
            ("baseline", 1.0, self.baseline_loss), ("arm", ARM_SD, self.arm_loss)
        ):  # fmt: skip
            own = math.sqrt(1 - CORRELATION) * chance.normal(size=shape)
            if not self.paired:
                shared = math.sqrt(CORRELATION) * chance.normal(size=shape)
            rate_sd = RATE_SD * sd[:, 0]
            rate = rate_sd * chance.normal(size=self.rungs)
            expected = np.array([true(one) for one in x])
            values = expected[:, None] + rate[:, None] + scale * sd * (shared + own)
            start = 100 if name == "arm" and not self.paired else 0
            rows[name] = [dict(enumerate(map(float, row), start)) for row in values]
            rate_variance[name] = list(rate_sd**2)
        floor = ENTROPY if self.asymptote == "known" else 0.0
        costs = {name: list(np.exp(x)) for name in rows}
        return LadderLosses(rows, costs, rate_variance, floor)


def selected_cells() -> list[Cell]:
    """Return the stated selection of 46 cells."""
    cells = [Cell(gain, rungs=rungs) for rungs in (3, 4, 5) for gain in GAINS]
    cells += [Cell(gain, seeds=seeds) for seeds in (2, 4, 5) for gain in GAINS]
    cells += [Cell(gain, asymptote=kind) for kind in ("known", "broken law") for gain in GAINS]
    cells += [Cell(gain, noise="equal") for gain in GAINS]
    few = [("none", 3, 2, "unknown"), ("constant 1.3", 3, 2, "unknown")]
    few += [("constant 1.3", 3, 3, "broken law"), ("shrinking 1.5 to 1.1", 3, 3, "broken law")]
    cells += [Cell(*one) for one in few]
    cells += [Cell("constant 1.3", noise="rises 10x"), Cell("none", paired=False)]
    cells += [Cell("none", seeds=2, paired=False), Cell("constant 1.3", paired=False)]
    cells += [Cell(gain, asymptote="slightly broken law") for gain in ("none", "constant 1.3")]
    return cells
