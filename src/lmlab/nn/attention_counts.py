"""Costs of :mod:`lmlab.nn.attention`. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from lmlab.nn.component_counts import ComponentCounts, Kind, SavedTensor
from lmlab.nn.norm_counts import rms_norm
from lmlab.nn.window_layout import LOCAL, is_blocked, window_of_layer


def CausalSelfAttention(
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
    """Count four projections, the scores, and the weighted sum of the values.

    The fused kernel saves queries, keys, values, its output and one number per query and head. On
    paper, scores and softmax are saved too: one number each per head and pair.

    With a window, keys and values of neighbouring blocks are saved twice, and the table of hidden
    keys counts as a constant; see :class:`lmlab.nn.sliding_window.SlidingWindow`.
    """
    del qk_norm_eps
    d_head = d_model // num_heads
    kv_heads = num_heads if num_kv_heads is None else num_kv_heads
    width, kv_width = num_heads * d_head, kv_heads * d_head
    weights = 2 * d_model * (width + kv_width)
    reach = window_of_layer(window, window_pattern, layer, context_length)
    length = context_length or 0
    blocked = reach is not None and is_blocked(length, reach)
    keys = 2 * reach if reach is not None and blocked else length
    copies = 2 if blocked else 1
    projected = (
        SavedTensor("query", width),
        SavedTensor("key", copies * kv_width),
        SavedTensor("value", copies * kv_width),
    )
    layer_input = SavedTensor("attention input", d_model)
    output = SavedTensor("attention output", width)
    copied = SavedTensor("attention output, copied", width)
    normed = rms_norm(d_head, num_heads + kv_heads) if qk_norm else ()
    fused = (
        layer_input,
        *projected,
        output,
        SavedTensor("log of the sums", num_heads, Kind.FLOAT32),
        *normed,
        # The norms and the blocks change the memory layout, and with it that of the output.
        *((copied,) if qk_norm or blocked else ()),
    )
    # Unfused attention is all float32 and repeats shared keys and values for every head.
    repeated = tuple(
        SavedTensor(tensor.name, times * width, Kind.FLOAT32)
        for tensor, times in zip(projected, (1, copies, copies), strict=True)
    )
    scores, softmax = _per_pair("scores", num_heads), _per_pair("softmax", num_heads)
    if blocked:  # all heads that share keys are queries of one head
        repeated = tuple(SavedTensor(one.name, one.per_token, Kind.FLOAT32) for one in projected)
        scores, softmax = (SavedTensor(name, num_heads * keys) for name in ("scores", "softmax"))
    return ComponentCounts(
        parameters=weights + (2 * d_head if qk_norm else 0),
        matmul_weights=weights,
        products_per_pair=2 * width,
        d_values=kv_width,
        saved=fused,
        saved_unfused=(
            layer_input,
            *repeated,
            SavedTensor(softmax.name, softmax.per_token, Kind.FLOAT32, softmax.per_pair),
            output,
            *normed,
        ),
        textbook=(*projected, scores, softmax, output, SavedTensor("output projection", d_model)),
        tables=0 if reach is None else _table(length, reach, num_heads // kv_heads),
        window=reach,
        shapes=(
            (width, d_model), (kv_width, d_model), (kv_width, d_model), (d_model, width),
            *[(d_head,)] * (2 if qk_norm else 0),
        ),
    )  # fmt: skip


def _per_pair(name: str, num_heads: int) -> SavedTensor:
    return SavedTensor(name, 0, per_pair=num_heads)


def _table(length: int, window: int, heads_per_group: int) -> int:
    """Return the values of the table of hidden keys."""
    if is_blocked(length, window):
        return heads_per_group * length * 2 * window
    return length * length
