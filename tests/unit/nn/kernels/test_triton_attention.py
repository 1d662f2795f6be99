"""Attention in Triton compared with float64, on a GPU or in Triton's interpreter.

The interpreter does not multiply bfloat16, so it tests attention in float32.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from triton_cases import DEVICE, INTERPRETED

from lmlab.nn.attention import causal_attention
from lmlab.nn.kernels import triton_attention
from lmlab.nn.pos import ALiBi, NoPE, PartialRoPE, Positions, RoPE

DTYPE = torch.float32 if INTERPRETED else torch.bfloat16
BOUNDS = {"rtol": 1e-5, "atol": 3e-6} if INTERPRETED else {"rtol": 2**-7, "atol": 0.03}
# B, H, G, T, K: one token, odd sizes, two blocks and a remainder, groups, wide heads, the longest.
SHAPES = [
    (1, 1, 1, 1, 32), (2, 3, 3, 17, 32), (1, 4, 2, 130, 32), (1, 2, 1, 64, 64), (1, 4, 1, 65, 32),
    (1, 1, 1, 256, 32),
]  # fmt: skip
TILINGS = [(64, 64), (64, 32), (32, 64), (128, 32)]
Shape = tuple[int, int, int, int, int]


def random_inputs(shape: Shape, *leading: int) -> tuple[Tensor, Tensor]:
    """Return a fused product of queries, keys and values, and the gradient of the output."""
    batch, heads, groups, tokens, width = shape
    generator = torch.Generator().manual_seed(7)
    qkv = torch.randn(*leading, batch, tokens, (heads + 2 * groups) * width, generator=generator)
    gradient = torch.randn(*leading, batch, tokens, heads * width, generator=generator)
    return qkv.to(DEVICE, DTYPE).requires_grad_(), gradient.to(DEVICE, DTYPE)


def positions(shape: Shape, rotated: bool) -> RoPE | NoPE:
    *_, tokens, width = shape
    if not rotated:
        return NoPE(d_model=1, d_head=width, context_length=tokens)
    return RoPE(d_model=1, d_head=width, context_length=tokens + 3, theta=10000.0).to(DEVICE)


def float64_reference(
    qkv: Tensor, gradient: Tensor, shape: Shape, pos: RoPE | NoPE
) -> list[Tensor]:
    """Output and gradient by the equation, in float64."""
    _, heads, groups, _, width = shape
    qkv = qkv.detach().double().requires_grad_()
    parts = qkv.unflatten(-1, (-1, width)).transpose(1, 2).split([heads, groups, groups], 1)
    output = float64_attention(*parts, pos).transpose(1, 2).flatten(2)
    return [output.detach(), *torch.autograd.grad(output, qkv, gradient.double())]


def float64_attention(q: Tensor, k: Tensor, v: Tensor, pos: RoPE | NoPE) -> Tensor:
    pos = pos.double()
    q, k = pos.rotate(q, None), pos.rotate(k, None)
    k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], 1) for part in (k, v))
    is_later = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).triu(1)
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(is_later, float("-inf"))
    return scores.softmax(-1) @ v


def kernel_results(qkv: Tensor, gradient: Tensor, shape: Shape, pos: RoPE | NoPE) -> list[Tensor]:
    output = triton_attention.fused_qkv_attention(qkv, shape[1], shape[-1], pos)
    return [output.detach(), *torch.autograd.grad(output, qkv, gradient)]


@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_output_and_gradients_equal_those_of_the_equation(
    shape: Shape, rotated: bool, tiling: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORWARD", "BACKWARD"):
        monkeypatch.setattr(triton_attention, name, triton_attention.Tiling(*tiling, 4, 2))
    qkv, gradient = random_inputs(shape)
    exact = float64_reference(qkv, gradient, shape, positions(shape, rotated))
    found = kernel_results(qkv, gradient, shape, positions(shape, rotated))
    for result, expected in zip(found, exact, strict=True):
        assert result.dtype is DTYPE
        torch.testing.assert_close(result.double(), expected, **BOUNDS)


def test_results_repeat_bit_for_bit_in_any_memory_layout() -> None:
    shape = (4, 4, 2, 200, 32)
    qkv, gradient = random_inputs(shape)
    first = kernel_results(qkv, gradient, shape, positions(shape, True))
    transposed = qkv.detach().mT.contiguous().mT.requires_grad_()
    for layout in (qkv, qkv, transposed):
        again = kernel_results(layout, gradient.mT.contiguous().mT, shape, positions(shape, True))
        assert all(map(torch.equal, again, first))


def test_a_nan_in_a_key_reaches_all_later_queries_of_its_head() -> None:
    shape = (2, 2, 2, 70, 32)
    qkv, _ = random_inputs(shape)
    with torch.no_grad():
        qkv[1, 50, 2 * 32 + 3] = float("nan")  # a key of the first head
    is_nan = triton_attention.fused_qkv_attention(qkv, 2, 32, positions(shape, False)).isnan()
    assert is_nan[1, 50:, :32].all() and not is_nan[1, :50].any()
    assert not is_nan[0].any() and not is_nan[1, :, 32:].any()


@pytest.mark.parametrize("rotated", [False, True])
def test_vmap_over_models_equals_each_model_alone(rotated: bool) -> None:
    shape = (2, 2, 1, 40, 32)
    qkv, gradient = random_inputs(shape, 3)
    pos = positions(shape, rotated)

    def attend(part: Tensor) -> Tensor:
        return triton_attention.fused_qkv_attention(part, 2, 32, pos)

    output = torch.func.vmap(attend)(qkv)
    (qkv_gradient,) = torch.autograd.grad(output, qkv, gradient)
    for index in range(3):
        alone = kernel_results(qkv[index], gradient[index], shape, pos)
        assert torch.equal(output[index], alone[0])
        assert torch.equal(qkv_gradient[index], alone[1])


def test_fake_tensors_and_autograd_are_registered_correctly() -> None:
    shape = (2, 4, 2, 17, 32)
    qkv, gradient = random_inputs(shape)
    pos = positions(shape, True)
    for tables in ((None, None), (pos.cos_SK[:17], pos.sin_SK[:17])):
        forward = torch.library.opcheck(triton_attention._operation, (qkv, *tables, 4, 32))
        detached = qkv.detach()
        results = triton_attention._operation(detached, *tables, 4, 32)
        backward = torch.library.opcheck(
            triton_attention._backward_operation, (gradient, detached, *tables, *results, 4, 32)
        )
        assert {*forward.values(), *backward.values()} == {"SUCCESS"}


class DoubledRotation(RoPE):
    """A rotation that a user derived from RoPE."""

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        return 2 * super().rotate(x_BHTK, positions_BT)


def encodings() -> list[Positions]:
    sizes = {"d_model": 128, "d_head": 32, "context_length": 17}
    rotations = PartialRoPE(theta=10.0, fraction=0.5, **sizes), DoubledRotation(theta=10.0, **sizes)
    return [part.to(DEVICE) for part in (ALiBi(**sizes), *rotations)]


@pytest.mark.parametrize("pos", encodings(), ids=lambda pos: type(pos).__name__)
def test_a_bias_and_a_rotation_without_tables_fall_back_to_torch(pos: Positions) -> None:
    qkv, _ = random_inputs((2, 4, 2, 17, 32))
    found = triton_attention.fused_qkv_attention(qkv, 4, 32, pos)
    parts = qkv.unflatten(-1, (-1, 32)).transpose(1, 2).split([4, 2, 2], 1)
    assert torch.equal(found, causal_attention(*parts, pos).transpose(1, 2).flatten(2))


@pytest.mark.parametrize(
    ("d_head", "num_tokens", "is_supported"),
    [(32, 256, True), (64, 1, True), (32, 257, False), (16, 8, False), (128, 8, False)],
)
def test_supported_shapes(d_head: int, num_tokens: int, is_supported: bool) -> None:
    assert triton_attention.supports(d_head, num_tokens) == is_supported
