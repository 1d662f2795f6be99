"""Costs of :mod:`lmlab.optim.ademamix`. No torch."""

from __future__ import annotations

from typing import Any

from lmlab.optim.optimizer_counts import OptimizerCounts

# Two averages of three operations each and a second moment of four, its corrected root and epsilon
# three, the corrected fast average one, its sum with the slow one two, the quotient and the update
# three, the decay one.
FLOPS_PER_PARAMETER = 20


def ademamix(*, hidden: int, other: int, **parameters: Any) -> OptimizerCounts:
    """Count two averages of the gradients and a second moment per parameter.

    Args:
        hidden: number of parameters in matrices inside the blocks.
        other: number of all other parameters.
        parameters: parameters of the optimizer; they change no count.
    """
    del parameters
    return OptimizerCounts(3 * (hidden + other), FLOPS_PER_PARAMETER * (hidden + other))
