"""Costs of :mod:`lmlab.optim.adamw`. No torch."""

from __future__ import annotations

from typing import Any

from lmlab.optim.optimizer_counts import OptimizerCounts

# Two moments of three operations each (four for the square), two bias corrections, a root, a sum,
# a quotient, and three for the update with its decay.
FLOPS_PER_PARAMETER = 14


def adamw(*, hidden: int, other: int, **parameters: Any) -> OptimizerCounts:
    """Count two moments per parameter.

    Args:
        hidden: number of parameters in matrices inside the blocks.
        other: number of all other parameters.
        parameters: parameters of the optimizer; they change no count.
    """
    del parameters
    return OptimizerCounts(2 * (hidden + other), FLOPS_PER_PARAMETER * (hidden + other))
