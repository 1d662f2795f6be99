"""Counts of :mod:`lmlab.optim.muon`. No torch."""

from __future__ import annotations

from typing import Any

from lmlab.optim.counts import OptimizerCounts


def MuonAdamW(*, hidden: int, other: int, **knobs: Any) -> OptimizerCounts:
    """A velocity of hidden parameters, and AdamW's two moments of the others.

    Args:
        hidden: parameters in matrices inside the blocks.
        other: all others.
        knobs: of the optimizer; they change no count.
    """
    del knobs
    # Orthogonalising costs products whose number depends on the shape of each matrix.
    return OptimizerCounts(hidden + 2 * other, flops=None)
