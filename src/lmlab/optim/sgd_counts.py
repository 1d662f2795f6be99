"""Counts of :mod:`lmlab.optim.sgd`. No torch."""

from __future__ import annotations

from typing import Any

from lmlab.optim.counts import OptimizerCounts


def sgd(*, hidden: int, other: int, momentum: float, **knobs: Any) -> OptimizerCounts:
    """A velocity of every parameter where there is momentum."""
    del knobs
    parameters = hidden + other
    return OptimizerCounts(parameters if momentum else 0, (6 if momentum else 4) * parameters)
