"""Costs of an optimizer as plain numbers. No torch."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class OptimizerCounts:
    """Costs of an optimizer for one model.

    Attributes:
        state: float32 values kept between updates.
        flops: FLOPs per update; None if they depend on more than the number of parameters.
        evaluated: float32 values of the weights that it evaluates, where they are not those that
            it trains; the latter are kept aside during an evaluation, and checkpoints hold both.
    """

    state: int
    flops: int | None
    evaluated: int = 0
