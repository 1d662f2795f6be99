"""Costs of :mod:`lmlab.nn.pos`. No torch."""

from __future__ import annotations

from lmlab.nn.counts import Counts


def RoPE(*, d_model: int, d_head: int, context_length: int, theta: float) -> Counts:
    """Count two tables with a value per position and feature; rotation saves nothing else."""
    del d_model, theta
    return Counts(tables=2 * context_length * d_head)


def NoPE(*, d_model: int, d_head: int, context_length: int) -> Counts:
    """Count nothing."""
    del d_model, d_head, context_length
    return Counts()


def LearnedPositions(*, d_model: int, d_head: int, context_length: int) -> Counts:
    """Count a vector per position."""
    del d_head
    return Counts(parameters=context_length * d_model)
