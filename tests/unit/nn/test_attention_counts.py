"""Counts of attention compared with the module and with torch's FLOP counter."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmlab.nn.attention import CausalSelfAttention
from lmlab.nn.attention_counts import CausalSelfAttention as attention_counts
from lmlab.nn.pos import NoPE

D, H, T = 48, 6, 5


@pytest.mark.parametrize("num_kv_heads", [None, 3, 1])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_parameters_and_flops_equal_those_of_the_module(
    num_kv_heads: int | None, qk_norm: bool
) -> None:
    pos = NoPE(d_model=D, d_head=D // H, context_length=T)
    layer = CausalSelfAttention(
        d_model=D, num_heads=H, pos=pos, num_kv_heads=num_kv_heads, qk_norm=qk_norm
    )
    counts = attention_counts(d_model=D, num_heads=H, num_kv_heads=num_kv_heads, qk_norm=qk_norm)
    assert counts.parameters == sum(weight.numel() for weight in layer.parameters())
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        layer(torch.zeros(1, T, D))
    flops = 2 * (counts.matmul_weights * T + counts.products_per_pair * T * T)
    assert flops == counter.get_total_flops()


def test_only_unfused_attention_saves_scores() -> None:
    counts = attention_counts(d_model=D, num_heads=H, num_kv_heads=2)
    assert counts.saved_unfused is not None
    assert all(tensor.per_pair == 0 for tensor in counts.saved)
    assert [tensor.per_pair for tensor in counts.saved_unfused if tensor.per_pair] == [H]


def test_shared_keys_and_values_save_less_with_the_fused_kernel_only() -> None:
    full = attention_counts(d_model=D, num_heads=H)
    grouped = attention_counts(d_model=D, num_heads=H, num_kv_heads=2)

    def per_token(tensors: object) -> int:
        return sum(tensor.per_token for tensor in tensors)  # type: ignore[attr-defined]

    saved = 2 * (H - 2) * (D // H)
    assert per_token(full.saved) - per_token(grouped.saved) == saved
    # Unfused attention repeats shared keys and values for every head.
    assert per_token(full.saved_unfused) == per_token(grouped.saved_unfused)
