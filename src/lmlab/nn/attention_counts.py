"""Counts of :mod:`lmlab.nn.attention`. No torch."""

from __future__ import annotations

from lmlab.nn.counts import Counts, Kind, SavedTensor
from lmlab.nn.norm_counts import rms_norm


def CausalSelfAttention(
    *,
    d_model: int,
    num_heads: int,
    num_kv_heads: int | None = None,
    qk_norm: bool = False,
    qk_norm_eps: float = 1e-5,
) -> Counts:
    """Four projections, and the products of queries with keys and of weights with values.

    The fused kernel keeps queries, keys, values, its result and one number a query and head; on
    paper the scores and their softmax are kept, a number each for every head and pair.
    """
    del qk_norm_eps
    d_head = d_model // num_heads
    kv_heads = num_heads if num_kv_heads is None else num_kv_heads
    width, kv_width = num_heads * d_head, kv_heads * d_head
    matrix = 2 * d_model * (width + kv_width)
    projected = (
        SavedTensor("query", width),
        SavedTensor("key", kv_width),
        SavedTensor("value", kv_width),
    )
    read = SavedTensor("attention input", d_model)
    mixed = SavedTensor("mixed values", width)
    normed: tuple[SavedTensor, ...] = ()
    if qk_norm:
        # The norm's result lies otherwise in memory, and so does what is mixed: it is copied.
        normed = (
            *rms_norm(d_head, num_heads + kv_heads),
            SavedTensor("mixed values in order", width),
        )
    fused = (
        read,
        *projected,
        mixed,
        SavedTensor("log of the sums", num_heads, Kind.FLOAT32),
        *normed,
    )
    # Written out, all of it is float32, and shared keys and values are repeated for every head.
    repeated = tuple(SavedTensor(held.name, width, Kind.FLOAT32) for held in projected)
    softmax = SavedTensor("softmax", 0, Kind.FLOAT32, per_pair=num_heads)
    return Counts(
        parameters=matrix + (2 * d_head if qk_norm else 0),
        matmul_weights=matrix,
        products_per_pair=2 * width,
        saved=fused,
        saved_unfused=(read, *repeated, softmax, mixed, *normed[:-1]),
        textbook=(
            *projected,
            SavedTensor("scores", 0, per_pair=num_heads),
            SavedTensor("softmax", 0, per_pair=num_heads),
            mixed,
            SavedTensor("output projection", d_model),
        ),
    )
