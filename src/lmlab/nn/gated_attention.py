"""Causal self-attention with an output gate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lmlab.nn.attention import CausalSelfAttention
from lmlab.nn.kv_cache import KVCache
from lmlab.nn.pos import Positions
from lmlab.nn.window_layout import LOCAL


class GatedAttention(CausalSelfAttention):
    """Attention whose output is multiplied by a gate: Qiu et al. 2025 (Gated Attention).

    The gate is their position G1 in its elementwise, head-specific form (section 2.2, equation 5):
    ``sigmoid(W x)`` has a value for each value of each head, is computed from the input of the
    layer, and multiplies the weighted sum of the values before the output projection.

    Args:
        d_model: see :class:`lmlab.nn.attention.CausalSelfAttention`, as the others.
        num_heads: H.
        pos: rotates queries and keys by position.
        num_kv_heads: G.
        qk_norm: normalise queries and keys.
        qk_norm_eps: epsilon of that norm.
        window: number of last tokens that a query sees in ``local`` layers.
        window_pattern: ``local`` or ``global``, repeated over the layers.
        layer: number of this layer, counted from 0.
        context_length: longest sequence of the model; required with a window.
    """

    def __init__(
        self,
        *,
        d_model: int,
        num_heads: int,
        pos: Positions,
        num_kv_heads: int | None = None,
        qk_norm: bool = False,
        qk_norm_eps: float = 1e-5,
        window: int | None = None,
        window_pattern: Sequence[str] = (LOCAL,),
        layer: int = 0,
        context_length: int | None = None,
    ) -> None:
        super().__init__(
            d_model=d_model, num_heads=num_heads, pos=pos, num_kv_heads=num_kv_heads,
            qk_norm=qk_norm, qk_norm_eps=qk_norm_eps, window=window, window_pattern=window_pattern,
            layer=layer, context_length=context_length,
        )  # fmt: skip
        self.output_gate = nn.Linear(d_model, num_heads * self.d_head, bias=False)

    def forward(
        self,
        x_BTD: Tensor,
        positions_BT: Tensor | None = None,
        cache: KVCache | None = None,
        mask_BTS: Tensor | None = None,
        values_BTJ: Tensor | None = None,
    ) -> Tensor:
        """Return (B, T, D); see :meth:`lmlab.nn.attention.CausalSelfAttention.forward`."""
        output_BTJ = self.attend(x_BTD, positions_BT, cache, mask_BTS, values_BTJ)
        gated: Tensor = self.out(output_BTJ * torch.sigmoid(self.output_gate(x_BTD)))
        return gated
