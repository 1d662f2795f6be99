"""Attention on a CPU beside float64, alone and for several models at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn import functional as F

from lmlab.nn.attention import CausalSelfAttention
from lmlab.nn.cpu_attention import causal_attention, is_faster_for
from lmlab.nn.pos import NoPE

SHAPES = [(1, 1, 1, 8), (2, 3, 17, 16), (2, 4, 130, 32)]


@pytest.fixture
def medium() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision("highest")


def parts(shape: tuple[int, ...], dtype: torch.dtype, *more: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    drawn = [torch.randn(*more, *shape, generator=generator).to(dtype) for _ in range(4)]
    return [part.requires_grad_() for part in drawn[:3]] + drawn[3:]


def reference(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    tokens = q.shape[-2]
    scores = q @ k.mT / q.shape[-1] ** 0.5
    hidden = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_those_of_the_equation(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    *inputs, gradient = parts(shape, dtype)
    found = causal_attention(*inputs)
    exact_inputs = [part.detach().double().requires_grad_() for part in inputs]
    exact = reference(*exact_inputs)
    bounds = {"rtol": 1e-5, "atol": 2e-6} if dtype is torch.float32 else {"rtol": 0, "atol": 0.03}
    assert found.dtype is dtype
    torch.testing.assert_close(found.double(), exact, **bounds)
    own = torch.autograd.grad(found, inputs, gradient)
    theirs = torch.autograd.grad(exact, exact_inputs, gradient.double())
    for one, other in zip(own, theirs, strict=True):
        assert one.dtype is dtype
        torch.testing.assert_close(one.double(), other, **bounds)


def test_bits_are_those_of_plain_products_and_the_setting_comes_back(medium: None) -> None:
    *inputs, gradient = parts((2, 4, 64, 32), torch.float32)
    own = torch.autograd.grad(causal_attention(*inputs), inputs, gradient)
    assert torch.get_float32_matmul_precision() == "medium"
    torch.set_float32_matmul_precision("highest")
    plain = F.scaled_dot_product_attention(*inputs, is_causal=True)
    theirs = torch.autograd.grad(plain, inputs, gradient)
    assert all(map(torch.equal, own, theirs))


def test_several_models_at_once_equal_each_alone() -> None:
    *inputs, gradient = parts((2, 3, 9, 8), torch.float32, 4)

    def weighed(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        return (causal_attention(q, k, v) * g).sum()

    together = torch.autograd.grad(torch.func.vmap(weighed)(*inputs, gradient).sum(), inputs)
    for index in range(4):
        alone = [part[index].detach().requires_grad_() for part in inputs]
        found = torch.autograd.grad(weighed(*alone, gradient[index]), alone)
        for one, other in zip(found, together, strict=True):
            torch.testing.assert_close(one, other[index], rtol=1e-6, atol=1e-6)


def test_compiled_equals_eager(medium: None) -> None:
    layer = CausalSelfAttention(
        d_model=32, num_heads=4, pos=NoPE(d_model=32, d_head=8, context_length=16)
    )
    x = torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(1), requires_grad=True)
    compiled = torch.compile(layer, dynamic=False, fullgraph=True)
    losses = [one(x).square().mean() for one in (layer, compiled)]
    gradients = [torch.autograd.grad(loss, [x, *layer.parameters()]) for loss in losses]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_chosen_where_it_is_faster(medium: None) -> None:
    query = torch.zeros(1, 1, 2, 8)
    assert is_faster_for(query)
    assert is_faster_for(query.bfloat16())
    with torch.no_grad():  # generation and validation
        assert not is_faster_for(query)
    with sdpa_kernel(SDPBackend.MATH):
        assert not is_faster_for(query)
    torch.set_float32_matmul_precision("highest")
    assert not is_faster_for(query)
