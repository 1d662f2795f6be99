from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmlab.nn.attention import CausalSelfAttention
from lmlab.nn.gated_attention import GatedAttention
from lmlab.nn.gated_attention_counts import GatedAttention as gated_counts
from lmlab.nn.pos import RoPE

WIDTH, HEADS, K, T = 16, 4, 4, 8
VARIANTS = [{}, {"num_kv_heads": 2}, {"qk_norm": True}, {"window": 2, "context_length": T}]


def rope() -> RoPE:
    return RoPE(d_model=WIDTH, d_head=K, context_length=T, theta=100.0)


def make(**parameters: object) -> GatedAttention:
    torch.manual_seed(0)
    return GatedAttention(d_model=WIDTH, num_heads=HEADS, pos=rope(), **parameters)  # type: ignore[arg-type]


def tokens() -> torch.Tensor:
    return torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_each_value_of_each_head_is_gated_before_the_output_projection(
    parameters: dict[str, object],
) -> None:
    layer, x = make(**parameters), tokens()
    plain = CausalSelfAttention(d_model=WIDTH, num_heads=HEADS, pos=rope(), **parameters)  # type: ignore[arg-type]
    plain.load_state_dict(
        {k: v for k, v in layer.state_dict().items() if not k.startswith("output_gate")}
    )
    plain.out = torch.nn.Identity()  # type: ignore[assignment]
    heads = plain(x)
    expected = torch.zeros(2, T, WIDTH)
    for head in range(HEADS):
        own = slice(head * K, (head + 1) * K)
        scores = torch.einsum("btd,kd->btk", x, layer.output_gate.weight[own])
        gated = heads[..., own] / (1 + torch.exp(-scores))
        expected += torch.einsum("btk,dk->btd", gated, layer.out.weight[:, own])
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_the_gate_applies_with_a_cache_too() -> None:
    layer, x = make(num_kv_heads=2), tokens()
    cache = layer.make_cache(
        batch_size=2, max_length=T, device=torch.device("cpu"), dtype=torch.float32
    )
    outputs = []
    for start, end in ((0, 5), (5, 6), (6, T)):
        positions = torch.arange(start, end).expand(2, -1)
        mask = torch.arange(end)[None, :] <= torch.arange(start, end)[:, None]
        outputs.append(layer(x[:, start:end], positions, cache, mask.expand(2, -1, -1)))
    torch.testing.assert_close(torch.cat(outputs, 1), layer(x))


@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_parameters_and_flops_equal_those_of_the_module(parameters: dict[str, object]) -> None:
    layer = make(**parameters)
    counts = gated_counts(d_model=WIDTH, num_heads=HEADS, **parameters)  # type: ignore[arg-type]
    assert counts.parameters == sum(weight.numel() for weight in layer.parameters())
    shapes = sorted(tuple(weight.shape) for weight in layer.parameters())
    assert counts.shapes is not None and sorted(counts.shapes) == shapes
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        layer(tokens()[:1])
    keys = 4 if "window" in parameters else T
    flops = 2 * (counts.matmul_weights * T + counts.products_per_pair * T * keys)
    assert flops == counter.get_total_flops()
