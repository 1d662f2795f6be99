"""What an optimizer keeps and computes, as plain numbers. No torch."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class OptimizerCounts:
    """Counts of an optimizer over one model.

    Attributes:
        state: float32 values that it keeps between updates.
        flops: of one update; None where it depends on more than the number of parameters.
    """

    state: int
    flops: int | None
