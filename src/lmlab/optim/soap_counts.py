"""Costs of :mod:`lmlab.optim.soap`. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lmlab.optim.optimizer_counts import OptimizerCounts


def soap(
    *,
    hidden: int,
    other: int,
    shapes: Sequence[tuple[int, ...]],
    max_precondition_dim: int,
    precondition_1d: bool,
    **parameters: Any,
) -> OptimizerCounts:
    """Count two moments per parameter, and a preconditioner and its eigenbasis per side.

    Args:
        hidden: number of parameters in matrices inside the blocks.
        other: number of all other parameters.
        shapes: of all parameters.
        max_precondition_dim: the largest side that has a preconditioner.
        precondition_1d: whether those of vectors have one.
        parameters: other parameters of the optimizer; they change no count.
    """
    del hidden, other, parameters

    def state(shape: tuple[int, ...]) -> int:
        has_sides = len(shape) > 1 or precondition_1d
        sides = [side for side in shape if has_sides and side <= max_precondition_dim]
        return 2 * math.prod(shape) + sum(2 * side * side for side in sides)

    return OptimizerCounts(sum(map(state, shapes)), flops=None)
