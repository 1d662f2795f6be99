"""Costs of :mod:`lmlab.nn.gated_attention`. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lmlab.nn.attention_counts import CausalSelfAttention
from lmlab.nn.component_counts import ComponentCounts, SavedTensor
from lmlab.nn.window_layout import LOCAL


def GatedAttention(
    *,
    d_model: int,
    num_heads: int,
    num_kv_heads: int | None = None,
    qk_norm: bool = False,
    qk_norm_eps: float = 1e-5,
    window: int | None = None,
    window_pattern: Sequence[str] = (LOCAL,),
    layer: int = 0,
    context_length: int | None = None,
) -> ComponentCounts:
    """Count the attention, the projection to the gate, the gate and the gated output."""
    plain = CausalSelfAttention(
        d_model=d_model, num_heads=num_heads, num_kv_heads=num_kv_heads, qk_norm=qk_norm,
        qk_norm_eps=qk_norm_eps, window=window, window_pattern=window_pattern, layer=layer,
        context_length=context_length,
    )  # fmt: skip
    width = num_heads * (d_model // num_heads)
    gate = SavedTensor("attention gate", width)
    gated = SavedTensor("gated attention output", width)
    assert plain.saved_unfused is not None and plain.shapes is not None
    return dataclasses.replace(
        plain,
        parameters=plain.parameters + d_model * width,
        matmul_weights=plain.matmul_weights + d_model * width,
        saved=(*plain.saved, gate, gated),
        saved_unfused=(*plain.saved_unfused, gate, gated),
        shapes=(*plain.shapes, (width, d_model)),
        textbook=(*plain.textbook, SavedTensor("gate projection", width), gate, gated),
    )
