"""Costs of :mod:`lmlab.nn.embedding`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import ComponentCounts, Kind, SavedTensor
from lmlab.nn.value_tables import tables_of_layers


def TokenEmbedding(*, vocab_size: int, d_model: int) -> ComponentCounts:
    """Count a vector per token, and the ids that the backward pass needs."""
    return ComponentCounts(
        vocab_size * d_model, saved=(SavedTensor("tokens", 1, Kind.INDEX),),
        shapes=((vocab_size, d_model),),
    )  # fmt: skip


def ValueEmbedding(
    *,
    vocab_size: int,
    d_model: int,
    num_layers: int,
    d_values: int,
    num_tables: int = 2,
    scale: float = 0.5,
) -> ComponentCounts:
    """Count the embedding, the tables and a factor per layer.

    The factors' gradients need what was looked up in each table.
    """
    del scale
    tables = {one for one in tables_of_layers(num_layers, num_tables) if one is not None}
    width = len(tables) * d_values
    return ComponentCounts(
        vocab_size * (d_model + width) + num_layers,
        saved=(
            SavedTensor("tokens", 1, Kind.INDEX),
            SavedTensor("value embeddings", width, Kind.FLOAT32),
        ),
        textbook=(SavedTensor("value embeddings", width),),
        shapes=(
            (vocab_size, d_model),
            *[(vocab_size, d_values)] * len(tables),
            (num_layers,),
        ),
    )
