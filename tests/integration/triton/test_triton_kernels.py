"""Kernels of our own for GPUs beside float64: on a GPU, or by Triton's interpreter on a CPU.

    TRITON_INTERPRET=1 pytest tests/integration/triton/test_triton_kernels.py

The interpreter multiplies no bfloat16: there, attention is tried in float32.
"""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lmlab.nn.pos import NoPE, RoPE

pytest.importorskip("triton", reason="Triton is not installed here")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not torch.cuda.is_available() and not INTERPRETED:
    pytest.skip("no CUDA GPU here, and TRITON_INTERPRET=1 is not set", allow_module_level=True)

from lmlab.nn.kernels import (  # noqa: E402
    loss_op,
    triton_attention,
    triton_gate,
    triton_loss,
)

DEVICE = "cpu" if INTERPRETED else "cuda"
DTYPE = torch.float32 if INTERPRETED else torch.bfloat16
BOUNDS = {"rtol": 1e-5, "atol": 3e-6} if INTERPRETED else {"rtol": 2**-7, "atol": 0.03}
IN_BF16 = {"rtol": 2**-5, "atol": 2e-3}
# B, H, G, T, K: a token, odd, two blocks and a bit, groups, wide heads, the longest.
SHAPES = [
    (1, 1, 1, 1, 32), (2, 3, 3, 17, 32), (1, 4, 2, 130, 32), (1, 2, 1, 64, 64), (1, 4, 1, 65, 32),
    (1, 1, 1, 256, 32),
]  # fmt: skip
TILINGS = [(64, 64), (64, 32), (32, 64), (128, 32)]
Shape = tuple[int, int, int, int, int]


def drawn(shape: Shape, *more: int) -> tuple[Tensor, Tensor]:
    """A joint product, and the gradient of what is mixed."""
    batch, heads, groups, tokens, width = shape
    generator = torch.Generator().manual_seed(7)
    joint = torch.randn(*more, batch, tokens, (heads + 2 * groups) * width, generator=generator)
    gradient = torch.randn(*more, batch, tokens, heads * width, generator=generator)
    return joint.to(DEVICE, DTYPE).requires_grad_(), gradient.to(DEVICE, DTYPE)


def positions(shape: Shape, turned: bool) -> RoPE | NoPE:
    *_, tokens, width = shape
    if not turned:
        return NoPE(d_model=1, d_head=width, context_length=tokens)
    return RoPE(d_model=1, d_head=width, context_length=tokens + 3, theta=10000.0).to(DEVICE)


def reference(joint: Tensor, gradient: Tensor, shape: Shape, pos: RoPE | NoPE) -> list[Tensor]:
    """The equation in float64."""
    _, heads, groups, _, width = shape
    joint = joint.detach().double().requires_grad_()
    parts = joint.unflatten(-1, (-1, width)).transpose(1, 2).split([heads, groups, groups], 1)
    mixed = written_out_in_double(*parts, pos).transpose(1, 2).flatten(2)
    return [mixed.detach(), *torch.autograd.grad(mixed, joint, gradient.double())]


def written_out_in_double(q: Tensor, k: Tensor, v: Tensor, pos: RoPE | NoPE) -> Tensor:
    pos = pos.double()
    q, k = pos.rotate(q, None), pos.rotate(k, None)
    k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], 1) for part in (k, v))
    hidden = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).triu(1)
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(hidden, float("-inf"))
    return scores.softmax(-1) @ v


def own(joint: Tensor, gradient: Tensor, shape: Shape, pos: RoPE | NoPE) -> list[Tensor]:
    mixed = triton_attention.fused_qkv_attention(joint, shape[1], shape[-1], pos)
    return [mixed.detach(), *torch.autograd.grad(mixed, joint, gradient)]


@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_attention_is_that_of_the_equation(
    shape: Shape, turned: bool, tiling: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORWARD", "BACKWARD"):
        monkeypatch.setattr(triton_attention, name, triton_attention.Tiling(*tiling, 4, 2))
    joint, gradient = drawn(shape)
    exact = reference(joint, gradient, shape, positions(shape, turned))
    found = own(joint, gradient, shape, positions(shape, turned))
    for one, other in zip(found, exact, strict=True):
        assert one.dtype is DTYPE
        torch.testing.assert_close(one.double(), other, **BOUNDS)


def test_attention_repeats_to_the_bit_and_takes_strange_layouts() -> None:
    shape = (4, 4, 2, 200, 32)
    joint, gradient = drawn(shape)
    first = own(joint, gradient, shape, positions(shape, True))
    strange = joint.detach().mT.contiguous().mT.requires_grad_()
    for given in (joint, joint, strange):
        again = own(given, gradient.mT.contiguous().mT, shape, positions(shape, True))
        assert all(map(torch.equal, again, first))


def test_attention_shows_what_is_no_number() -> None:
    shape = (2, 2, 2, 70, 32)
    joint, _ = drawn(shape)
    with torch.no_grad():
        joint[1, 50, 2 * 32 + 3] = float("nan")  # a key of the first head
    found = triton_attention.fused_qkv_attention(joint, 2, 32, positions(shape, False)).isnan()
    assert found[1, 50:, :32].all() and not found[1, :50].any()
    assert not found[0].any() and not found[1, :, 32:].any()


@pytest.mark.parametrize("turned", [False, True])
def test_attention_of_several_models_is_that_of_each(turned: bool) -> None:
    shape = (2, 2, 1, 40, 32)
    joint, gradient = drawn(shape, 3)
    pos = positions(shape, turned)

    def mix(part: Tensor) -> Tensor:
        return triton_attention.fused_qkv_attention(part, 2, 32, pos)

    mixed = torch.func.vmap(mix)(joint)
    (stacked,) = torch.autograd.grad(mixed, joint, gradient)
    for place in range(3):
        alone = own(joint[place], gradient[place], shape, pos)
        assert torch.equal(mixed[place], alone[0]) and torch.equal(stacked[place], alone[1])


@pytest.mark.parametrize("vocabulary", [1, 2, 16, 31, 257, 10_000])
@pytest.mark.parametrize("tokens", [1, 7, 23])
def test_the_loss_is_that_of_float64(
    tokens: int, vocabulary: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_op, "in_place_chunk_rows", lambda *sizes: 7)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, 8, generator=generator).to(DEVICE, torch.bfloat16).requires_grad_()
    weight = torch.randn(vocabulary, 8, generator=generator).to(hidden).requires_grad_()
    targets = torch.randint(0, vocabulary, (tokens,), generator=generator).to(DEVICE)
    loss = triton_loss.chunked_cross_entropy(hidden, weight, targets)
    found = torch.autograd.grad(loss * 0.25, (hidden, weight))
    wide = F.cross_entropy(hidden.double() @ weight.double().T, targets)
    exact = torch.autograd.grad(wide * 0.25, (hidden, weight))
    torch.testing.assert_close(loss.double(), wide, **IN_BF16)
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one, other, **IN_BF16)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("column", [0, 17, 39])
def test_the_loss_shows_what_is_no_number(value: float, column: int) -> None:
    values = torch.zeros(2, 40, device=DEVICE)
    values[1, column] = value
    losses = torch.empty(2, device=DEVICE)
    triton_loss._replace_logits(values, torch.tensor([3, 3], device=DEVICE), losses, 1.0)
    assert losses.isnan().tolist() == [False, True]
    assert values.isnan().any(1).tolist() == [False, True]


@pytest.mark.parametrize("shape", [(3, 5, 2 * 8), (9, 2 * 513), (2, 2, 2 * 1344)])
def test_the_gate_is_silu_times_up(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    joint = torch.randn(shape, generator=generator).to(DEVICE, torch.bfloat16).requires_grad_()
    gradient = torch.randn(*shape[:-1], shape[-1] // 2, generator=generator).to(joint)
    found = triton_gate.silu_and_mul(joint)
    gate, up = joint.double().chunk(2, -1)
    exact = F.silu(gate) * up
    torch.testing.assert_close(found.double(), exact, rtol=2**-7, atol=1e-6)
    (own_gradient,) = torch.autograd.grad(found, joint, gradient)
    (exact_gradient,) = torch.autograd.grad(exact, joint, gradient.double())
    torch.testing.assert_close(own_gradient, exact_gradient, rtol=2**-6, atol=1e-2)
    several = torch.stack([joint.detach(), -joint.detach()])
    stacked = torch.func.vmap(triton_gate.silu_and_mul)(several)
    assert torch.equal(stacked[0], found)


def test_what_the_compiler_is_told_is_so() -> None:
    shape = (2, 4, 2, 17, 32)
    joint, gradient = drawn(shape)
    pos = positions(shape, True)
    for tables in ((None, None), (pos.cos_SK[:17], pos.sin_SK[:17])):
        torch.library.opcheck(triton_attention._operation, (joint, *tables, 4, 32))
        kept = joint.detach()
        results = triton_attention._operation(kept, *tables, 4, 32)
        torch.library.opcheck(
            triton_attention._backward_operation, (gradient, kept, *tables, *results, 4, 32)
        )
    torch.library.opcheck(triton_gate._operation, (joint,))
    half = torch.ones_like(triton_gate.silu_and_mul(joint.detach()))
    torch.library.opcheck(triton_gate._backward_operation, (half, joint.detach()))
