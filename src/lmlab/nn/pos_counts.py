"""Costs of :mod:`lmlab.nn.pos`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import ComponentCounts


def RoPE(
    *,
    d_model: int,
    d_head: int,
    context_length: int,
    theta: float,
    scaling: dict[str, float] | None = None,
) -> ComponentCounts:
    """Count two tables with a value per position and feature; rotation saves nothing else."""
    del d_model, theta, scaling
    return ComponentCounts(tables=2 * context_length * d_head)


def PartialRoPE(
    *,
    d_model: int,
    d_head: int,
    context_length: int,
    theta: float,
    fraction: float,
    scaling: dict[str, float] | None = None,
) -> ComponentCounts:
    """Count the tables of :func:`RoPE`, which have a value for each feature that stays, too."""
    del fraction
    return RoPE(
        d_model=d_model, d_head=d_head, context_length=context_length, theta=theta, scaling=scaling
    )


def NoPE(*, d_model: int, d_head: int, context_length: int) -> ComponentCounts:
    """Count nothing."""
    del d_model, d_head, context_length
    return ComponentCounts()


def ALiBi(*, d_model: int, d_head: int, context_length: int) -> ComponentCounts:
    """Count a slope per head, and a table with a bias per head and pair of positions."""
    num_heads = d_model // d_head
    return ComponentCounts(tables=num_heads * (1 + context_length**2))


def LearnedPositions(*, d_model: int, d_head: int, context_length: int) -> ComponentCounts:
    """Count a vector per position."""
    del d_head
    return ComponentCounts(parameters=context_length * d_model, shapes=((context_length, d_model),))
