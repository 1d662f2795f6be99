"""Costs of an optimizer as plain numbers. No torch."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class OptimizerCounts:
    """Costs of an optimizer for one model.

    Attributes:
        state: float32 values kept between updates.
        flops: FLOPs per update; None if they depend on more than the number of parameters.
    """

    state: int
    flops: int | None
