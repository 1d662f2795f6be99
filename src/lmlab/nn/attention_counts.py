"""Costs of :mod:`lmlab.nn.attention`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import ComponentCounts, Kind, SavedTensor
from lmlab.nn.norm_counts import rms_norm


def CausalSelfAttention(
    *,
    d_model: int,
    num_heads: int,
    num_kv_heads: int | None = None,
    qk_norm: bool = False,
    qk_norm_eps: float = 1e-5,
) -> ComponentCounts:
    """Count four projections, the scores, and the weighted sum of the values.

    The fused kernel saves queries, keys, values, its output and one number per query and head. On
    paper, scores and softmax are saved too: one number each per head and pair.
    """
    del qk_norm_eps
    d_head = d_model // num_heads
    kv_heads = num_heads if num_kv_heads is None else num_kv_heads
    width, kv_width = num_heads * d_head, kv_heads * d_head
    weights = 2 * d_model * (width + kv_width)
    projected = (
        SavedTensor("query", width),
        SavedTensor("key", kv_width),
        SavedTensor("value", kv_width),
    )
    layer_input = SavedTensor("attention input", d_model)
    output = SavedTensor("attention output", width)
    normed: tuple[SavedTensor, ...] = ()
    if qk_norm:
        # The norms change the memory layout, and with it that of the attention output, which is
        # therefore copied.
        normed = (
            *rms_norm(d_head, num_heads + kv_heads),
            SavedTensor("attention output, copied", width),
        )
    fused = (
        layer_input,
        *projected,
        output,
        SavedTensor("log of the sums", num_heads, Kind.FLOAT32),
        *normed,
    )
    # Unfused attention is all float32 and repeats shared keys and values for every head.
    repeated = tuple(SavedTensor(tensor.name, width, Kind.FLOAT32) for tensor in projected)
    softmax = SavedTensor("softmax", 0, Kind.FLOAT32, per_pair=num_heads)
    return ComponentCounts(
        parameters=weights + (2 * d_head if qk_norm else 0),
        matmul_weights=weights,
        products_per_pair=2 * width,
        d_values=kv_width,
        saved=fused,
        saved_unfused=(layer_input, *repeated, softmax, output, *normed[:-1]),
        textbook=(
            *projected,
            SavedTensor("scores", 0, per_pair=num_heads),
            SavedTensor("softmax", 0, per_pair=num_heads),
            output,
            SavedTensor("output projection", d_model),
        ),
        shapes=(
            (width, d_model), (kv_width, d_model), (kv_width, d_model), (d_model, width),
            *[(d_head,)] * (2 if qk_norm else 0),
        ),
    )  # fmt: skip
