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
from lmlab.nn.pos import NoPE, Positions, RoPE

WIDTH, HEADS, K = 16, 4, 4


def nope() -> NoPE:
    return NoPE(d_model=WIDTH, d_head=K, context_length=32)


def make(pos: Positions | None = None, **knobs: object) -> CausalSelfAttention:
    torch.manual_seed(0)
    return CausalSelfAttention(
        d_model=WIDTH, num_heads=HEADS, pos=nope() if pos is None else pos, **knobs
    )  # type: ignore[arg-type]


def tokens(length: int = 7, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(1))


def by_hand(layer: CausalSelfAttention, x_BTD: torch.Tensor) -> torch.Tensor:
    """Scores and mixing one query and head at a time, from Vaswani et al., equation 1."""
    q, k, v = (part(x_BTD) for part in (layer.q, layer.k, layer.v))
    shared = HEADS // layer.num_kv_heads
    out = torch.zeros_like(q)
    for b in range(x_BTD.shape[0]):
        for t in range(x_BTD.shape[1]):
            for h in range(HEADS):
                mine, theirs = (
                    slice(h * K, (h + 1) * K),
                    slice(h // shared * K, h // shared * K + K),
                )
                scores = torch.stack([q[b, t, mine] @ k[b, s, theirs] for s in range(t + 1)])
                weights = torch.softmax(scores / math.sqrt(K), 0)
                out[b, t, mine] = weights @ v[b, : t + 1, theirs]
    return layer.out(out)


@pytest.mark.parametrize("num_kv_heads", [None, 2, 1])
@pytest.mark.parametrize("by", [causal_attention, naive_attention])
def test_equals_the_formula(num_kv_heads: int | None, by: CausalAttention) -> None:
    layer = make(num_kv_heads=num_kv_heads)
    layer.causal_attention = by
    torch.testing.assert_close(layer(tokens()), by_hand(layer, tokens()))


def test_written_out_attention_turns_queries_and_keys_too() -> None:
    rope = RoPE(d_model=WIDTH, d_head=K, context_length=32, theta=100.0)
    q, k, v = (torch.randn(2, heads, 9, K) for heads in (4, 2, 2))
    torch.testing.assert_close(naive_attention(q, k, v, rope), causal_attention(q, k, v, rope))


@pytest.mark.parametrize("num_kv_heads", [None, 2])
def test_a_joint_product_is_handed_on_as_it_is(num_kv_heads: int | None) -> None:
    """Where nothing stands between product and attention, which then gets all heads at once."""
    layer = make(num_kv_heads=num_kv_heads)
    expected = layer(tokens())

    def attend(joint: torch.Tensor, heads: int, width: int, pos: Positions) -> torch.Tensor:
        parts = joint.unflatten(-1, (-1, width)).transpose(1, 2)
        groups = (parts.shape[1] - heads) // 2
        mixed = causal_attention(*parts.split([heads, groups, groups], 1), pos)
        return mixed.transpose(1, 2).flatten(2)

    layer.fused_qkv_attention = attend
    torch.testing.assert_close(layer(tokens()), expected)


def test_qk_norm_makes_scores_independent_of_the_input_scale() -> None:
    layer = make(qk_norm=True)
    x = 100 * tokens()  # so that the epsilon of the norm plays no part
    # Values scale with the input, the weights that mix them do not.
    torch.testing.assert_close(layer(3 * x), 3 * layer(x), rtol=1e-4, atol=1e-3)
    plain, x = make(qk_norm=False), tokens()
    assert not torch.allclose(plain(3 * x), 3 * plain(x), rtol=1e-2)


def test_nope_scores_depend_on_content_only() -> None:
    layer = make()
    x = tokens(6, 1)
    order = torch.tensor([3, 0, 2, 4, 1, 5])
    # The last token sees all others: what it reads does not depend on their order.
    torch.testing.assert_close(layer(x)[:, -1], layer(x[:, order])[:, -1])
    turned = make(RoPE(d_model=WIDTH, d_head=K, context_length=32, theta=10000.0))
    assert not torch.allclose(turned(x)[:, -1], turned(x[:, order])[:, -1], atol=1e-4)


@pytest.mark.parametrize("num_kv_heads", [None, 2])
def test_reading_with_a_cache_equals_reading_at_once(num_kv_heads: int | None) -> None:
    layer = make(
        RoPE(d_model=WIDTH, d_head=K, context_length=32, theta=10000.0), num_kv_heads=num_kv_heads
    )
    x = tokens(7)
    cache = KVCache(
        batch_size=2, num_kv_heads=layer.num_kv_heads, max_length=7, d_head=K,
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip
    read = []
    for start, end in ((0, 3), (3, 4), (4, 7)):
        positions = torch.arange(start, end).expand(2, -1)
        mask = torch.arange(end)[None, :] <= torch.arange(start, end)[:, None]
        read.append(layer(x[:, start:end], positions, cache, mask.expand(2, -1, -1)))
    torch.testing.assert_close(torch.cat(read, 1), layer(x))
    with pytest.raises(IndexError, match="8 tokens"):
        layer(x[:, :1], torch.tensor([[7], [7]]), cache, torch.ones(2, 1, 8, dtype=torch.bool))


def test_shared_positions_are_no_parameters_of_each_layer() -> None:
    names = {name for name, _ in make().named_parameters()}
    assert names == {"q.weight", "k.weight", "v.weight", "out.weight"}
