"""One layer of the Transformer."""

from __future__ import annotations

from torch import Tensor, nn

from lmlab.nn.dropout import OutputDropout
from lmlab.nn.kv_cache import KVCache
from lmlab.nn.norm import NormStrategy
from lmlab.nn.output_factor import OutputFactor


class Block(nn.Module):
    """Attention, then feed-forward, each in a residual branch built by the norm strategy.

    Args:
        attention: the first sublayer.
        ffn: the second sublayer.
        norm: builds the branches.
        d_model: D.
        dropout: probability of each value that a sublayer adds to be dropped in training.
        residual_factor: multiplies what a sublayer adds.
    """

    def __init__(
        self,
        *,
        attention: nn.Module,
        ffn: nn.Module,
        norm: NormStrategy,
        d_model: int,
        dropout: float = 0.0,
        residual_factor: float = 1.0,
    ) -> None:
        super().__init__()
        if dropout:
            attention.register_forward_hook(OutputDropout(dropout))
            ffn.register_forward_hook(OutputDropout(dropout))
        if residual_factor != 1:
            attention.register_forward_hook(OutputFactor(residual_factor))
            ffn.register_forward_hook(OutputFactor(residual_factor))
        self.attention = norm.wrap(attention, d_model)
        self.ffn = norm.wrap(ffn, d_model)

    def forward(
        self,
        x_BTD: Tensor,
        positions_BT: Tensor | None,
        cache: KVCache | None,
        mask_BTS: Tensor | None,
    ) -> Tensor:
        """Return (B, T, D)."""
        x = self.attention(x_BTD, positions_BT, cache, mask_BTS)
        x = self.ffn(x)
        assert isinstance(x, Tensor)
        return x
