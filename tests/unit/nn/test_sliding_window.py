"""Windows of attention compared with attention one query at a time, and with full attention."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmlab.errors import ConfigError
from lmlab.nn.attention import CausalSelfAttention
from lmlab.nn.attention_counts import CausalSelfAttention as attention_counts
from lmlab.nn.biased_attention import naive_biased_attention
from lmlab.nn.pos import ALiBi, RoPE
from lmlab.nn.sliding_window import SlidingWindow
from lmlab.nn.window_layout import is_blocked, keys_per_query, visible_pairs, window_of_layer

WIDTH, HEADS, K = 16, 4, 4
# Lengths that are computed over all pairs, and in blocks of the window.
CASES = [(7, 3), (6, 3), (9, 3), (12, 3), (16, 4), (5, 1), (8, 7)]


def make(length: int, **parameters: object) -> CausalSelfAttention:
    torch.manual_seed(0)
    pos = RoPE(d_model=WIDTH, d_head=K, context_length=32, theta=100.0)
    return CausalSelfAttention(
        d_model=WIDTH, num_heads=HEADS, pos=pos, context_length=length, **parameters
    )  # type: ignore[arg-type]


def tokens(length: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(1))


def by_hand(layer: CausalSelfAttention, x_BTD: torch.Tensor, window: int) -> torch.Tensor:
    """One query and head at a time, with the keys of the window alone."""
    (pos,) = layer._pos
    q, k, v = (layer._split_heads(part(x_BTD)) for part in (layer.q, layer.k, layer.v))
    q, k = pos.rotate(q, None), pos.rotate(k, None)
    out = torch.zeros_like(q)
    for t in range(x_BTD.shape[1]):
        first = max(0, t - window + 1)
        for h in range(HEADS):
            group = h * layer.num_kv_heads // HEADS
            keys, values = k[:, group, first : t + 1], v[:, group, first : t + 1]
            scores = (keys @ q[:, h, t, :, None]).squeeze(-1) / math.sqrt(K)
            out[:, h, t] = (scores.softmax(-1)[:, None] @ values).squeeze(1)
    return layer.out(out.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("num_kv_heads", [None, 2, 1])
@pytest.mark.parametrize(("length", "window"), CASES)
def test_output_equals_attention_by_hand(
    length: int, window: int, num_kv_heads: int | None
) -> None:
    layer, x = make(length, window=window, num_kv_heads=num_kv_heads), tokens(length)
    expected = by_hand(layer, x, window)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)
    assert layer.window is not None
    layer.window.attention = naive_biased_attention
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)
    # Shorter sequences than the context, as those at the end of a validation set.
    for shorter in range(1, length):
        torch.testing.assert_close(
            layer(x[:, :shorter]), expected[:, :shorter], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize(("length", "window"), CASES)
def test_gradients_equal_those_of_attention_by_hand(length: int, window: int) -> None:
    layer = make(length, window=window, num_kv_heads=2)
    found, expected = (
        torch.autograd.grad(output.square().sum(), list(layer.parameters()))
        for output in (layer(tokens(length)), by_hand(layer, tokens(length), window))
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_long_sequences_whose_first_keys_are_all_hidden() -> None:
    # Torch's kernel on a CPU reads 512 keys at a time.
    q, k, v = torch.randn(3, 1, 1, 1300, K, generator=torch.Generator().manual_seed(2))
    places = torch.arange(1300)
    hidden = (places > places[:, None]) | (places <= places[:, None] - 65)
    scores = (q @ k.mT / math.sqrt(K)).masked_fill(hidden, -math.inf)
    for length in (1300, 1299):  # in blocks, and over all pairs
        window = SlidingWindow(window=65, context_length=length, heads_per_group=1)
        found = window.attend(*(x[:, :, :length] for x in (q, k, v)))
        expected = (scores.softmax(-1) @ v)[:, :, :length]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_window_of_the_context_is_full_attention() -> None:
    full, x = make(9), tokens(9)
    wide = make(9, window=9)
    assert wide.window is None
    assert torch.equal(wide(x), full(x))


def test_layers_repeat_the_pattern() -> None:
    pattern = ["local", "local", "global"]
    found = [window_of_layer(4, pattern, layer, 32) for layer in range(7)]
    assert found == [4, 4, None, 4, 4, None, 4]
    assert make(9, window=3, window_pattern=pattern, layer=2).window is None
    assert make(9, window=3, window_pattern=pattern, layer=3).window is not None


@pytest.mark.parametrize(("length", "window"), [(7, 3), (9, 3)])
def test_attention_with_a_cache_equals_attention_over_the_full_sequence(
    length: int, window: int
) -> None:
    layer, x = make(length, window=window, num_kv_heads=2), tokens(length)
    cache = layer.make_cache(
        batch_size=2, max_length=length, device=torch.device("cpu"), dtype=torch.float32
    )
    outputs = []
    for start, end in ((0, 5), (5, 6), (6, length)):
        positions = torch.arange(start, end).expand(2, -1)
        mask = torch.arange(end)[None, :] <= torch.arange(start, end)[:, None]
        outputs.append(layer(x[:, start:end], positions, cache, mask.expand(2, -1, -1)))
    torch.testing.assert_close(torch.cat(outputs, 1), layer(x), rtol=1e-5, atol=1e-6)


def test_explicit_positions_keep_the_window() -> None:
    layer, x = make(9, window=3), tokens(9)
    torch.testing.assert_close(layer(x, torch.arange(9).expand(2, -1)), layer(x))


@pytest.mark.parametrize("num_kv_heads", [None, 2])
@pytest.mark.parametrize(("length", "window"), CASES)
def test_counts_equal_flop_counter_and_tables(
    length: int, window: int, num_kv_heads: int | None
) -> None:
    layer = make(length, window=window, num_kv_heads=num_kv_heads)
    counts = attention_counts(
        d_model=WIDTH, num_heads=HEADS, num_kv_heads=num_kv_heads, window=window,
        context_length=length,
    )  # fmt: skip
    assert layer.window is not None and counts.tables == layer.window.bias.numel()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        layer(tokens(length, 1))
    pairs = length * keys_per_query(length, counts.window)
    flops = 2 * (counts.matmul_weights * length + counts.products_per_pair * pairs)
    assert flops == counter.get_total_flops()


def test_blocks_compute_fewer_pairs_than_the_square_and_all_that_are_seen() -> None:
    for length, window in CASES:
        seen = sum(min(t + 1, window) for t in range(length))
        assert visible_pairs(length, window) == seen
        computed = length * keys_per_query(length, window)
        assert seen <= computed <= length**2
        assert (computed < length**2) == is_blocked(length, window)
    assert visible_pairs(5, None) == 15
    assert keys_per_query(1024, 128) == 256


def test_an_encoding_that_adds_to_the_scores_is_refused() -> None:
    alibi = ALiBi(d_model=WIDTH, d_head=K, context_length=9)
    with pytest.raises(ConfigError, match=r"model\.attention\.window=3: expected"):
        CausalSelfAttention(d_model=WIDTH, num_heads=HEADS, pos=alibi, window=3, context_length=9)
