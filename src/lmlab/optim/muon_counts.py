"""Costs of :mod:`lmlab.optim.muon`. No torch."""

from __future__ import annotations

from typing import Any

from lmlab.optim.optimizer_counts import OptimizerCounts


def MuonAdamW(*, hidden: int, other: int, **parameters: Any) -> OptimizerCounts:
    """Count the momentum of hidden parameters and AdamW's two moments of the others.

    Args:
        hidden: number of parameters in matrices inside the blocks.
        other: number of all other parameters.
        parameters: parameters of the optimizer; they change no count.
    """
    del parameters
    # The FLOPs of the orthogonalisation depend on the shape of each matrix.
    return OptimizerCounts(hidden + 2 * other, flops=None)
