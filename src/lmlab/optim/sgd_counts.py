"""Costs of :mod:`lmlab.optim.sgd`. No torch."""

from __future__ import annotations

from typing import Any

from lmlab.optim.optimizer_counts import OptimizerCounts


def sgd(*, hidden: int, other: int, momentum: float, **others: Any) -> OptimizerCounts:
    """Count a velocity per parameter if ``momentum`` is not 0.

    Args:
        hidden: number of parameters in matrices inside the blocks.
        other: number of all other parameters.
        momentum: momentum of the optimizer.
        others: other parameters of the optimizer; they change no count.
    """
    del others
    parameters = hidden + other
    return OptimizerCounts(parameters if momentum else 0, (6 if momentum else 4) * parameters)
