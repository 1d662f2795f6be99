"""Token embeddings: the first part of the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lmlab.nn.value_tables import tables_of_layers


class TokenEmbedding(nn.Embedding):
    """A learned vector per token.

    An embedding is a module with a ``weight`` (V, D), which a tied head shares, and ``forward``
    from tokens (B, T) to vectors (B, T, D). One that also adds to the values of attention layers
    has a method ``add_values(widths)``, which gets the width of each layer's values once, and
    returns from :meth:`values` a tensor or None per layer.

    Args:
        vocab_size: V.
        d_model: D.
    """

    def __init__(self, *, vocab_size: int, d_model: int) -> None:
        super().__init__(vocab_size, d_model)

    def values(self, tokens_BT: Tensor) -> Sequence[Tensor | None] | None:
        """Return what is added to the values of each layer, (B, T, G K); None for nothing."""
        return None


class ValueEmbedding(TokenEmbedding):
    """Token embeddings, and further tables that are added to the values of attention layers.

    Value embeddings (Jordan et al. 2024, the modded-nanogpt record of 2024-12-04, after the value
    residual of Zhou et al. 2024, "Value residual learning"): the values of a layer become
    ``v + s * table[token]``, with a learned factor s per layer. Tables are shared in the shape of a
    U: table i serves layer i and layer L - n + i, so that the layers in the middle have none.

    Args:
        vocab_size: V.
        d_model: D.
        num_layers: L.
        num_tables: n, at least 1 and at most L.
        scale: of the values at the start of training.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        d_model: int,
        num_layers: int,
        num_tables: int = 2,
        scale: float = 0.5,
    ) -> None:
        super().__init__(vocab_size=vocab_size, d_model=d_model)
        self.table_of_layer = tables_of_layers(num_layers, num_tables)
        self.scale = nn.Parameter(torch.full((num_layers,), scale))
        self.tables = nn.ModuleList()

    def add_values(self, widths: Sequence[int]) -> None:
        """Make the tables.

        Args:
            widths: G K of each layer; layers of one table have equal ones.
        """
        by_table = {
            table: width
            for table, width in zip(self.table_of_layer, widths, strict=True)
            if table is not None
        }
        self.tables.extend(
            nn.Embedding(self.num_embeddings, by_table[table]) for table in sorted(by_table)
        )

    def values(self, tokens_BT: Tensor) -> Sequence[Tensor | None]:
        """Return what is added to the values of each layer, (B, T, G K); None where nothing is."""
        looked_up = [table(tokens_BT) for table in self.tables]
        return [
            None if table is None else self.scale[layer] * looked_up[table]
            for layer, table in enumerate(self.table_of_layer)
        ]
