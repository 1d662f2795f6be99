from __future__ import annotations

import math

import pytest
import torch

from lmlab.nn.attention import (
    CausalAttention,
    CausalSelfAttention,
    causal_attention,
    naive_attention,
)
from lmlab.nn.kv_cache import KVCache
from lmlab.nn.pos import ALiBi, NoPE, Positions, RoPE, alibi_slopes

WIDTH, HEADS, K = 16, 4, 4


def nope() -> NoPE:
    return NoPE(d_model=WIDTH, d_head=K, context_length=32)


def make(pos: Positions | None = None, **parameters: object) -> CausalSelfAttention:
    torch.manual_seed(0)
    return CausalSelfAttention(
        d_model=WIDTH, num_heads=HEADS, pos=nope() if pos is None else pos, **parameters
    )  # type: ignore[arg-type]


def tokens(length: int = 7, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(1))


def by_hand(
    layer: CausalSelfAttention, x_BTD: torch.Tensor, slopes: list[float] | None = None
) -> torch.Tensor:
    """Attention of one query and head at a time by Vaswani et al., equation 1.

    Slopes are those of Press et al. 2022, section 3, for each head.
    """
    q, k, v = (part(x_BTD) for part in (layer.q, layer.k, layer.v))
    heads_per_group = HEADS // layer.num_kv_heads
    out = torch.zeros_like(q)
    for b in range(x_BTD.shape[0]):
        for t in range(x_BTD.shape[1]):
            for h in range(HEADS):
                own, shared = (
                    slice(h * K, (h + 1) * K),
                    slice(h // heads_per_group * K, h // heads_per_group * K + K),
                )
                scores = torch.stack([q[b, t, own] @ k[b, s, shared] for s in range(t + 1)])
                distances = torch.arange(t, -1, -1)
                bias = 0 if slopes is None else -slopes[h] * distances
                weights = torch.softmax(scores / math.sqrt(K) + bias, 0)
                out[b, t, own] = weights @ v[b, : t + 1, shared]
    return layer.out(out)


@pytest.mark.parametrize("num_kv_heads", [None, 2, 1])
@pytest.mark.parametrize("attend", [causal_attention, naive_attention])
def test_output_equals_the_equation(num_kv_heads: int | None, attend: CausalAttention) -> None:
    layer = make(num_kv_heads=num_kv_heads)
    layer.causal_attention = attend
    torch.testing.assert_close(layer(tokens()), by_hand(layer, tokens()))


def alibi() -> ALiBi:
    return ALiBi(d_model=WIDTH, d_head=K, context_length=32)


@pytest.mark.parametrize("num_kv_heads", [None, 2, 1])
@pytest.mark.parametrize("attend", [causal_attention, naive_attention])
def test_a_bias_is_added_to_the_scaled_scores(
    num_kv_heads: int | None, attend: CausalAttention
) -> None:
    layer = make(alibi(), num_kv_heads=num_kv_heads)
    layer.causal_attention = attend
    expected = by_hand(layer, tokens(), alibi_slopes(HEADS))
    torch.testing.assert_close(layer(tokens()), expected)
    assert not torch.allclose(by_hand(layer, tokens()), expected, atol=1e-3)
    explicit = layer(tokens(), torch.arange(7).expand(2, -1))
    torch.testing.assert_close(explicit, expected)


def test_naive_attention_rotates_queries_and_keys() -> None:
    rope = RoPE(d_model=WIDTH, d_head=K, context_length=32, theta=100.0)
    q, k, v = (torch.randn(2, heads, 9, K) for heads in (4, 2, 2))
    torch.testing.assert_close(naive_attention(q, k, v, rope), causal_attention(q, k, v, rope))


@pytest.mark.parametrize(("num_kv_heads", "factor"), [(None, 1.0), (2, 1.0), (2, 0.3)])
def test_fused_attention_receives_the_product_of_all_projections(
    num_kv_heads: int | None, factor: float
) -> None:
    layer = make(num_kv_heads=num_kv_heads)
    without = layer(tokens())
    layer.query_factor = factor
    expected = layer(tokens())
    assert torch.equal(expected, without) == (factor == 1)

    def attend(qkv: torch.Tensor, heads: int, width: int, pos: Positions) -> torch.Tensor:
        parts = qkv.unflatten(-1, (-1, width)).transpose(1, 2)
        groups = (parts.shape[1] - heads) // 2
        output = causal_attention(*parts.split([heads, groups, groups], 1), pos)
        return output.transpose(1, 2).flatten(2)

    layer.fused_qkv_attention = attend
    torch.testing.assert_close(layer(tokens()), expected)


def test_qk_norm_makes_scores_independent_of_the_input_scale() -> None:
    layer = make(qk_norm=True)
    x = 100 * tokens()  # makes the epsilon of the norm negligible
    # Values scale with the input; attention weights do not.
    torch.testing.assert_close(layer(3 * x), 3 * layer(x), rtol=1e-4, atol=1e-3)
    plain, x = make(qk_norm=False), tokens()
    assert not torch.allclose(plain(3 * x), 3 * plain(x), rtol=1e-2)


def test_nope_scores_depend_on_content_only() -> None:
    layer = make()
    x = tokens(6, 1)
    order = torch.tensor([3, 0, 2, 4, 1, 5])
    # The last token attends to all others; their order does not matter.
    torch.testing.assert_close(layer(x)[:, -1], layer(x[:, order])[:, -1])
    rotated = make(RoPE(d_model=WIDTH, d_head=K, context_length=32, theta=10000.0))
    assert not torch.allclose(rotated(x)[:, -1], rotated(x[:, order])[:, -1], atol=1e-4)


@pytest.mark.parametrize("num_kv_heads", [None, 2])
@pytest.mark.parametrize("biased", [False, True])
def test_attention_with_a_cache_equals_attention_over_the_full_sequence(
    num_kv_heads: int | None, biased: bool
) -> None:
    rope = RoPE(d_model=WIDTH, d_head=K, context_length=32, theta=10000.0)
    layer = make(alibi() if biased else rope, num_kv_heads=num_kv_heads)
    x = tokens(7)
    cache = KVCache(
        batch_size=2, num_kv_heads=layer.num_kv_heads, max_length=7, d_head=K,
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip
    outputs = []
    for start, end in ((0, 3), (3, 4), (4, 7)):
        positions = torch.arange(start, end).expand(2, -1)
        mask = torch.arange(end)[None, :] <= torch.arange(start, end)[:, None]
        outputs.append(layer(x[:, start:end], positions, cache, mask.expand(2, -1, -1)))
    torch.testing.assert_close(torch.cat(outputs, 1), layer(x))
    with pytest.raises(IndexError, match="cache of 7 tokens: cannot hold 8 tokens"):
        layer(x[:, :1], torch.tensor([[7], [7]]), cache, torch.ones(2, 1, 8, dtype=torch.bool))


def test_the_shared_position_encoding_adds_no_parameters_to_a_layer() -> None:
    names = {name for name, _ in make().named_parameters()}
    assert names == {"q.weight", "k.weight", "v.weight", "out.weight"}
