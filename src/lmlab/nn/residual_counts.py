"""Costs of :mod:`lmlab.nn.residual`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import ComponentCounts, SavedTensor


def PlainResidual(*, d_model: int, num_layers: int) -> ComponentCounts:
    """Count nothing: the sum belongs to the branches."""
    return ComponentCounts()


def FirstInputResidual(*, d_model: int, num_layers: int) -> ComponentCounts:
    """Count two factors per layer; their gradients need each block's stream, the first included."""
    return ComponentCounts(
        2 * num_layers,
        saved=(SavedTensor("streams", num_layers * d_model),),
        textbook=(SavedTensor("mixes", num_layers * d_model),),
        shapes=((num_layers,), (num_layers,)),
    )
