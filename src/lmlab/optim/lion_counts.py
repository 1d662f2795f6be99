"""Costs of :mod:`lmlab.optim.lion`. No torch."""

from __future__ import annotations

from typing import Any

from lmlab.optim.optimizer_counts import OptimizerCounts

# Two interpolations of three operations each, a sign, the decay, and two for the update.
FLOPS_PER_PARAMETER = 10


def lion(*, hidden: int, other: int, **parameters: Any) -> OptimizerCounts:
    """Count a momentum per parameter.

    Args:
        hidden: number of parameters in matrices inside the blocks.
        other: number of all other parameters.
        parameters: parameters of the optimizer; they change no count.
    """
    del parameters
    return OptimizerCounts(hidden + other, FLOPS_PER_PARAMETER * (hidden + other))
