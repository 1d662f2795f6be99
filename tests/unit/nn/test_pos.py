from __future__ import annotations

import cmath

import pytest
import torch

from lmlab.nn.pos import LearnedPositions, NoPE, RoPE

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


@pytest.mark.parametrize("variant", [RoPE, NoPE, LearnedPositions])
def test_explicit_positions_equal_the_default_ones(variant: type) -> None:
    parameters = {"theta": 1e4} if variant is RoPE else {}
    pos = variant(d_model=16, d_head=WIDTH, context_length=CONTEXT, **parameters)
    if variant is LearnedPositions:
        torch.nn.init.normal_(pos.weight, generator=torch.Generator().manual_seed(1))
    default = torch.arange(10).expand(2, 10)
    q, x = vectors(2, 3, 10, WIDTH), vectors(2, 10, 16)
    torch.testing.assert_close(pos.rotate(q, default), pos.rotate(q, None), rtol=0, atol=0)
    torch.testing.assert_close(pos.embed(x, default), pos.embed(x, None), rtol=0, atol=0)


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
