"""Ladders of a few arms whose expected losses are given functions of the cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from lmlab.study.ladders.ladder_losses import LadderLosses

ENTROPY, AMPLITUDE, EXPONENT = 1.7, 3.0, 0.165
LOWEST = 4e11


def law(cost: float) -> float:
    """Return the loss of a power law, in nats per token."""
    return ENTROPY + AMPLITUDE * (cost / LOWEST) ** -EXPONENT


def gained(log_gain: float, slope: float = 0.0) -> Callable[[float], float]:
    """Return the curve of an arm with a log gain at the lowest rung that changes with log cost."""
    return lambda cost: law(cost * math.exp(log_gain + slope * math.log(cost / LOWEST)))


def a_ladder(
    curves: Mapping[str, Callable[[float], float]],
    rungs: int = 5,
    seeds: int = 3,
    sd: float = 0.0,
    seed: int = 0,
    own: float = 0.7,
) -> LadderLosses:
    """Return a ladder whose top rung has a hundred times the cost of the lowest.

    Args:
        curves: expected loss against cost, by arm.
        rungs: number of rungs.
        seeds: number of seeds of every rung.
        sd: standard deviation of a run at the lowest rung, in nats; halves to the top.
        seed: of the noise.
        own: part of the noise that arms do not share.
    """
    costs = LOWEST * np.geomspace(1, 100, rungs)
    chance = np.random.default_rng(seed)
    scale = sd * np.linspace(1, 0.5, rungs)[:, None]
    shared = math.sqrt(1 - own**2) * chance.normal(size=(rungs, seeds))
    losses = {}
    for name, curve in curves.items():
        noise = scale * (shared + own * chance.normal(size=(rungs, seeds)))
        rows = np.array([curve(cost) for cost in costs])[:, None] + noise
        losses[name] = [{seed: float(loss) for seed, loss in enumerate(row)} for row in rows]
    return LadderLosses(losses, {name: list(map(float, costs)) for name in curves})
