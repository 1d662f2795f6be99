"""Counts of :mod:`lmlab.nn.attention`. No torch."""

from __future__ import annotations

from lmlab.nn.counts import Counts, Held, Kind
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
    projected = (Held("query", width), Held("key", kv_width), Held("value", kv_width))
    read = Held("attention input", d_model)
    mixed = Held("mixed values", width)
    normed: tuple[Held, ...] = ()
    if qk_norm:
        # The norm's result lies otherwise in memory, and so does what is mixed: it is copied.
        normed = (*rms_norm(d_head, num_heads + kv_heads), Held("mixed values in order", width))
    fused = (read, *projected, mixed, Held("log of the sums", num_heads, Kind.FLOAT32), *normed)
    # Written out, all of it is float32, and shared keys and values are repeated for every head.
    repeated = tuple(Held(held.name, width, Kind.FLOAT32) for held in projected)
    softmax = Held("softmax", 0, Kind.FLOAT32, a_pair=num_heads)
    return Counts(
        parameters=matrix + (2 * d_head if qk_norm else 0),
        matrix=matrix,
        pairs=2 * width,
        held=fused,
        held_plain=(read, *repeated, softmax, mixed, *normed[:-1]),
        textbook=(
            *projected,
            Held("scores", 0, a_pair=num_heads),
            Held("softmax", 0, a_pair=num_heads),
            mixed,
            Held("output projection", d_model),
        ),
    )
