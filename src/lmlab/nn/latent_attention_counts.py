"""Costs of :mod:`lmlab.nn.latent_attention`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import ComponentCounts, Kind, SavedTensor
from lmlab.nn.latent_widths import latent_widths
from lmlab.nn.norm_counts import rms_norm


def LatentAttention(
    *,
    d_model: int,
    num_heads: int,
    kv_lora_rank: int | None = None,
    q_lora_rank: int | None = None,
    d_nope: int | None = None,
    d_rope: int | None = None,
    d_value: int | None = None,
    latent_norm_eps: float = 1e-6,
) -> ComponentCounts:
    """Count what training computes: keys and values of every head, with values as wide as keys.

    Products of scores and values are those that are executed, padding included.
    """
    del latent_norm_eps
    widths = latent_widths(
        d_model=d_model, num_heads=num_heads, kv_lora_rank=kv_lora_rank, q_lora_rank=q_lora_rank,
        d_nope=d_nope, d_rope=d_rope, d_value=d_value,
    )  # fmt: skip
    key_width, value_width = num_heads * widths.d_key, num_heads * widths.d_value
    kv_rank, q_rank = widths.kv_rank, widths.q_rank
    queries = d_model * key_width if q_rank is None else q_rank * (d_model + key_width)
    weights = (
        queries
        + d_model * (kv_rank + widths.d_rope)
        + kv_rank * num_heads * (widths.d_nope + widths.d_value)
        + value_width * d_model
    )
    of_queries: tuple[tuple[int, ...], ...] = ((key_width, d_model),)
    if q_rank is not None:
        of_queries = ((q_rank, d_model), (q_rank,), (key_width, q_rank))
    q_latent: tuple[SavedTensor, ...] = ()
    if q_rank is not None:
        q_latent = (*rms_norm(q_rank), SavedTensor("query latent", q_rank))
    latents = (*q_latent, *rms_norm(kv_rank), SavedTensor("key/value latent", kv_rank))
    layer_input = SavedTensor("attention input", d_model)
    names = ("query", "key", "value")
    projected = tuple(SavedTensor(name, key_width) for name in names)
    output = SavedTensor("attention output, copied", value_width)
    softmax = SavedTensor("softmax", 0, per_pair=num_heads)
    return ComponentCounts(
        parameters=weights + kv_rank + (q_rank or 0),
        matmul_weights=weights,
        products_per_pair=2 * key_width,
        saved=(
            layer_input,
            *latents,
            *projected,
            SavedTensor("attention output", key_width),
            SavedTensor("log of the sums", num_heads, Kind.FLOAT32),
            output,
        ),
        # Unfused attention is all float32.
        saved_unfused=(
            layer_input,
            *latents,
            *(SavedTensor(name, key_width, Kind.FLOAT32) for name in names),
            SavedTensor("softmax", 0, Kind.FLOAT32, per_pair=num_heads),
            output,
        ),
        textbook=(
            *(() if q_rank is None else (SavedTensor("query latent", q_rank),)),
            SavedTensor("key/value latent", kv_rank),
            SavedTensor("query", key_width),
            SavedTensor("key", num_heads * widths.d_nope + widths.d_rope),
            SavedTensor("value", value_width),
            SavedTensor("scores", 0, per_pair=num_heads),
            softmax,
            SavedTensor("weighted sum", value_width),
            SavedTensor("output projection", d_model),
        ),
        d_rotated=widths.d_rope,
        shapes=(
            *of_queries,
            (kv_rank, d_model), (kv_rank,), (widths.d_rope, d_model),
            (num_heads * widths.d_nope, kv_rank), (value_width, kv_rank), (d_model, value_width),
        ),
    )  # fmt: skip
