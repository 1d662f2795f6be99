"""Costs of :mod:`lmlab.nn.block`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import BlockCounts


def Block() -> BlockCounts:
    """Count two residual branches and nothing of the block's own."""
    return BlockCounts(num_branches=2)
