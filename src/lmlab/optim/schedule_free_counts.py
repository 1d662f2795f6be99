"""Costs of :mod:`lmlab.optim.schedule_free`. No torch."""

from __future__ import annotations

from typing import Any

from lmlab.optim.optimizer_counts import OptimizerCounts

# The second moment takes four, its corrected root and epsilon three, the quotient one, the decay
# two, y's step towards z three and along the gradient two, and z's step two.
FLOPS_PER_PARAMETER = 17


def schedule_free_adamw(*, hidden: int, other: int, **parameters: Any) -> OptimizerCounts:
    """Count the iterate z and a second moment per parameter.

    Args:
        hidden: number of parameters in matrices inside the blocks.
        other: number of all other parameters.
        parameters: parameters of the optimizer; they change no count.
    """
    del parameters
    number = hidden + other
    return OptimizerCounts(2 * number, FLOPS_PER_PARAMETER * number, evaluated=number)
