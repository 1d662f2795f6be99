"""Costs of latent attention against the module, torch's counter, and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmlab.nn.latent_attention import LatentAttention
from lmlab.nn.latent_attention_counts import LatentAttention as latent_counts
from lmlab.nn.pos import RoPE

WIDTH, HEADS, T = 24, 4, 7


VARIANTS: list[dict[str, Any]] = [
    {},
    {"q_lora_rank": 5},
    {"kv_lora_rank": 3, "d_nope": 4, "d_rope": 2, "d_value": 6},  # values as wide as keys
    {"kv_lora_rank": 9, "q_lora_rank": 8, "d_nope": 5, "d_rope": 6, "d_value": 3},
]


@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_counts_equal_those_of_the_module(parameters: dict[str, Any]) -> None:
    width = LatentAttention.rotated_width(
        d_model=WIDTH, num_heads=HEADS, d_rope=parameters.get("d_rope")
    )
    rope = RoPE(d_model=WIDTH, d_head=width, context_length=16, theta=100.0)
    layer = LatentAttention(d_model=WIDTH, num_heads=HEADS, pos=rope, **parameters)
    counts = latent_counts(d_model=WIDTH, num_heads=HEADS, **parameters)
    assert counts.parameters == sum(weight.numel() for weight in layer.parameters())
    shapes = sorted(tuple(weight.shape) for weight in layer.parameters())
    assert counts.shapes is not None and sorted(counts.shapes) == shapes
    assert counts.products_per_pair == layer.score_products
    assert counts.d_rotated == rope.cos_SK.shape[1]
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        layer(torch.randn(1, T, WIDTH))
    flops = 2 * (counts.matmul_weights * T + counts.products_per_pair * T * T)
    assert flops == counter.get_total_flops()


def test_null_widths_are_the_proportions_of_deepseek_v2_lite() -> None:
    counts = latent_counts(d_model=2048, num_heads=16)
    # 512 for the latent, heads of 128 + 64, values of 128.
    queries, keys_and_values = 2048 * 16 * 192, 512 * 16 * (128 + 128)
    into_latent, out = 2048 * (512 + 64), 16 * 128 * 2048
    assert counts.matmul_weights == queries + keys_and_values + into_latent + out
