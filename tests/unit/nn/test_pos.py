from __future__ import annotations

import cmath
import math

import pytest
import torch

from lmlab.nn.pos import (
    ALiBi,
    LearnedPositions,
    NoPE,
    PartialRoPE,
    RoPE,
    alibi_slopes,
    inverse_wavelengths,
    rotary_tables,
    score_bias,
)

CONTEXT, WIDTH = 32, 8


def rope(theta: float = 10000.0) -> RoPE:
    return RoPE(d_model=16, d_head=WIDTH, context_length=CONTEXT, theta=theta)


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_rope_rotates_pairs_as_complex_numbers() -> None:
    x = vectors(1, 1, CONTEXT, WIDTH)
    turned = rope().rotate(x, None)
    for position in range(CONTEXT):
        for i in range(WIDTH // 2):
            before = complex(x[0, 0, position, i], x[0, 0, position, i + WIDTH // 2])
            after = before * cmath.exp(1j * position * 10000 ** (-2 * i / WIDTH))
            assert complex(
                turned[0, 0, position, i], turned[0, 0, position, i + WIDTH // 2]
            ) == pytest.approx(after, abs=1e-5)


def scores(q_K: torch.Tensor, k_K: torch.Tensor, q_at: int, k_at: int) -> torch.Tensor:
    def turn(x_K: torch.Tensor, at: int) -> torch.Tensor:
        return rope().rotate(x_K[None, None, None], torch.tensor([[at]]))[0, 0, 0]

    return turn(q_K, q_at) @ turn(k_K, k_at)


def test_rope_scores_depend_only_on_distance() -> None:
    q, k = vectors(2, WIDTH)
    reference = scores(q, k, 9, 4)
    for shift in (-4, 1, 10, 20):
        torch.testing.assert_close(scores(q, k, 9 + shift, 4 + shift), reference)
    assert not torch.isclose(scores(q, k, 10, 4), reference, rtol=1e-3)


def test_rope_preserves_norms_and_leaves_position_zero_unchanged() -> None:
    x = vectors(2, 3, CONTEXT, WIDTH)
    turned = rope().rotate(x, None)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[:, :, 0], x[:, :, 0])


def test_theta_is_the_base_of_the_wavelengths() -> None:
    x = vectors(1, 1, CONTEXT, WIDTH)
    assert not torch.allclose(rope(100.0).rotate(x, None), rope().rotate(x, None), atol=1e-3)


PARAMETERS = {RoPE: {"theta": 1e4}, PartialRoPE: {"theta": 1e4, "fraction": 0.5}}
VARIANTS = [RoPE, PartialRoPE, ALiBi, NoPE, LearnedPositions]


@pytest.mark.parametrize("variant", VARIANTS)
def test_explicit_positions_equal_the_default_ones(variant: type) -> None:
    parameters = PARAMETERS.get(variant, {})
    pos = variant(d_model=16, d_head=WIDTH, context_length=CONTEXT, **parameters)
    if variant is LearnedPositions:
        torch.nn.init.normal_(pos.weight, generator=torch.Generator().manual_seed(1))
    default = torch.arange(10).expand(2, 10)
    q, x = vectors(2, 3, 10, WIDTH), vectors(2, 10, 16)
    torch.testing.assert_close(pos.rotate(q, default), pos.rotate(q, None), rtol=0, atol=0)
    torch.testing.assert_close(pos.embed(x, default), pos.embed(x, None), rtol=0, atol=0)
    if (bias := score_bias(pos)) is not None:
        given, tabulated = bias(q, q, default, default), bias(q, q, None, None)
        torch.testing.assert_close(given, tabulated.expand_as(given), rtol=0, atol=0)


def test_nope_and_learned_positions_rotate_nothing_and_only_the_latter_add() -> None:
    q, x = vectors(1, 2, 5, WIDTH), vectors(1, 5, 16)
    sizes = {"d_model": 16, "d_head": WIDTH, "context_length": CONTEXT}
    assert NoPE(**sizes).rotate(q, None) is q
    assert NoPE(**sizes).embed(x, None) is x
    learned = LearnedPositions(**sizes)
    torch.nn.init.ones_(learned.weight)
    assert learned.rotate(q, None) is q
    torch.testing.assert_close(learned.embed(x, None), x + 1)


def test_rope_rotates_bf16_queries_by_float32_angles() -> None:
    q = vectors(1, 1, CONTEXT, WIDTH)
    exact = rope().rotate(q.bfloat16().float(), None)
    torch.testing.assert_close(rope().rotate(q.bfloat16(), None), exact.bfloat16(), rtol=0, atol=0)


def test_partial_rope_rotates_the_first_features_as_rope_and_keeps_the_others() -> None:
    sizes = {"d_model": 16, "context_length": CONTEXT, "theta": 100.0}
    x = vectors(2, 3, CONTEXT, 10)
    for fraction, width in ((0.4, 4), (0.7, 6), (1.0, 10)):  # 0.7 of ten features are 3.5 pairs
        partial = PartialRoPE(d_head=10, fraction=fraction, **sizes)
        turned = partial.rotate(x, None)
        expected = RoPE(d_head=width, **sizes).rotate(x[..., :width], None)
        assert torch.equal(turned, torch.cat([expected, x[..., width:]], -1))


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


def test_scaling_keeps_short_wavelengths_and_divides_long_ones() -> None:
    plain = inverse_wavelengths(64, 500.0)
    scaled = inverse_wavelengths(64, 500.0, LLAMA3 | {"original_context_length": 256})
    turns = 256 * plain / (2 * math.pi)
    assert torch.equal(scaled[turns > 4], plain[turns > 4])
    torch.testing.assert_close(scaled[turns < 1], plain[turns < 1] / 8)
    between = (turns > 1) & (turns < 4)
    assert between.any() and (turns > 4).any() and (turns < 1).any()
    assert bool((scaled[between] < plain[between]).all())
    assert bool((scaled[between] > plain[between] / 8).all())
    assert bool((scaled.diff() < 0).all())


@pytest.mark.parametrize("length", [64, 500, 8192])
def test_scaling_equals_that_of_transformers(length: int) -> None:
    transformers = pytest.importorskip("transformers")
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = transformers.LlamaConfig(
        hidden_size=64, num_attention_heads=1, max_position_embeddings=8 * length,
        rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, **LLAMA3,
                         "original_max_position_embeddings": length},
    )  # fmt: skip
    scaled = inverse_wavelengths(64, 10000.0, LLAMA3 | {"original_context_length": length})
    expected = LlamaRotaryEmbedding(config).inv_freq
    torch.testing.assert_close(scaled.float(), expected, rtol=1e-6, atol=0)
    assert not torch.allclose(inverse_wavelengths(64, 10000.0).float(), expected, rtol=1e-2)


def test_the_slopes_of_alibi_are_those_of_the_paper() -> None:
    assert alibi_slopes(8) == [1 / 2**i for i in range(1, 9)]
    assert alibi_slopes(16)[:4] == pytest.approx([2**-0.5, 2**-1, 2**-1.5, 2**-2])
    # Twelve heads: the eight above, and every other one of sixteen.
    assert alibi_slopes(12) == pytest.approx([*alibi_slopes(8), 2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])
    assert alibi_slopes(1) == [1 / 256]


def alibi(num_heads: int = 3) -> ALiBi:
    return ALiBi(d_model=num_heads * WIDTH, d_head=WIDTH, context_length=CONTEXT)


def test_the_bias_of_alibi_is_minus_slope_times_distance() -> None:
    bias = alibi().score_bias(vectors(1, 3, 6, WIDTH), vectors(1, 3, 6, WIDTH), None, None)
    for head, slope in enumerate(alibi_slopes(3)):
        for t in range(6):
            for s in range(6):
                expected = -slope * (t - s) if s <= t else -math.inf
                assert float(bias[0, head, t, s]) == pytest.approx(expected, rel=1e-6)


def test_the_bias_of_alibi_depends_only_on_the_distance() -> None:
    q, k = vectors(2, 3, 2, WIDTH), vectors(2, 1, 5, WIDTH)
    queries, keys = torch.tensor([[3, 4], [7, 8]]), torch.arange(5) + torch.tensor([[0], [4]])
    bias = alibi().score_bias(q, k, queries, keys)
    assert bias.shape == (2, 3, 2, 5)
    assert torch.equal(bias[0], bias[1])
    shifted = alibi().score_bias(q, k, queries + 1, keys)
    assert not torch.equal(shifted, bias)


class Reversed(RoPE):
    """A rotation that a user derived from RoPE."""

    def rotate(self, x_BHTK: torch.Tensor, positions_BT: torch.Tensor | None) -> torch.Tensor:
        return super().rotate(x_BHTK, positions_BT).flip(-1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_kernels_learn_from_a_position_encoding_what_it_does(variant: type) -> None:
    pos = variant(d_model=16, d_head=WIDTH, context_length=CONTEXT, **PARAMETERS.get(variant, {}))
    assert (score_bias(pos) is not None) == (variant is ALiBi)
    tables, x = rotary_tables(pos, 9), vectors(2, 2, 9, WIDTH)
    if variant is PartialRoPE:
        assert tables is None
        return
    assert tables is not None
    expected = x
    if tables.cos_TK is not None:
        assert tables.sin_TK is not None
        expected = x * tables.cos_TK + x.roll(WIDTH // 2, -1) * tables.sin_TK
    torch.testing.assert_close(pos.rotate(x, None), expected, rtol=0, atol=0)


def test_tables_do_not_describe_a_subclass_that_rotates_differently() -> None:
    sizes = {"d_model": 16, "d_head": WIDTH, "context_length": CONTEXT, "theta": 1e4}
    assert rotary_tables(Reversed(**sizes), 9) is None
    assert rotary_tables(RoPE(**sizes), 9) is not None
