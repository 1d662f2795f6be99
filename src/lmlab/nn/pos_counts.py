"""Costs of :mod:`lmlab.nn.pos`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import ComponentCounts


def RoPE(*, d_model: int, d_head: int, context_length: int, theta: float) -> ComponentCounts:
    """Count two tables with a value per position and feature; rotation saves nothing else."""
    del d_model, theta
    return ComponentCounts(tables=2 * context_length * d_head)


def NoPE(*, d_model: int, d_head: int, context_length: int) -> ComponentCounts:
    """Count nothing."""
    del d_model, d_head, context_length
    return ComponentCounts()


def LearnedPositions(*, d_model: int, d_head: int, context_length: int) -> ComponentCounts:
    """Count a vector per position."""
    del d_head
    return ComponentCounts(parameters=context_length * d_model)
