"""Costs of :mod:`lmlab.optim.adafactor`. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lmlab.optim.optimizer_counts import OptimizerCounts


def adafactor(
    *, hidden: int, other: int, shapes: Sequence[tuple[int, ...]], **parameters: Any
) -> OptimizerCounts:
    """Count a value per row and per column of a matrix, and per element of a vector.

    Args:
        hidden: number of parameters in matrices inside the blocks.
        other: number of all other parameters.
        shapes: of all parameters.
        parameters: parameters of the optimizer; they change no count.
    """
    del hidden, other, parameters
    return OptimizerCounts(sum(map(_state, shapes)), flops=None)


def _state(shape: tuple[int, ...]) -> int:
    if len(shape) < 2:
        return math.prod(shape)
    *leading, rows, columns = shape
    return math.prod(leading) * (rows + columns)
