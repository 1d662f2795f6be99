"""Attention on a CPU beside float64, alone and for several models at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lmlab.build.factory import build_gradients
from lmlab.build.network import build_network
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.attention import CausalSelfAttention
from lmlab.nn.kernels import fp32_attention
from lmlab.nn.kernels.fp32_attention import causal_attention
from lmlab.nn.pos import NoPE
from lmlab.runtime.device import Device
from lmlab.runtime.precision import PrecisionPolicy

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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_the_compiler_is_told_is_so(dtype: torch.dtype) -> None:
    """Shapes, strides and dtypes without computing, and the registered derivative."""
    *inputs, gradient = parts((2, 3, 17, 16), dtype)
    behind = [part.detach().transpose(1, 2).contiguous().transpose(1, 2) for part in inputs]
    for laid in (inputs, behind, [inputs[0], *behind[1:]]):
        torch.library.opcheck(fp32_attention._operation, tuple(laid))
        kept = [part.detach() for part in laid]
        results = fp32_attention._operation(*kept)
        torch.library.opcheck(fp32_attention._backward_operation, (gradient, *kept, *results))


def test_parts_of_a_batch_give_the_bits_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    *inputs, gradient = parts((5, 2, 40, 16), torch.bfloat16)

    def both() -> list[Tensor]:
        mixed = causal_attention(*inputs)
        return [mixed, *torch.autograd.grad(mixed, inputs, gradient)]

    whole = both()
    monkeypatch.setattr(
        fp32_attention, "_COPIED_VALUES", 2 * 2 * 40 * 16
    )  # 2 sequences, and 1 at the end
    assert all(map(torch.equal, both(), whole))


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


@pytest.mark.parametrize("num_kv_heads", [4, 2])
def test_a_layer_is_compiled_in_one_piece(medium: None, num_kv_heads: int) -> None:
    pos = NoPE(d_model=32, d_head=8, context_length=16)
    layer = CausalSelfAttention(d_model=32, num_heads=4, pos=pos, num_kv_heads=num_kv_heads)
    x = torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(1), requires_grad=True)
    expected = layer(x).square().mean()
    layer.causal_attention = causal_attention
    compiled = torch.compile(layer, dynamic=False, fullgraph=True)
    losses = [expected, layer(x).square().mean(), compiled(x).square().mean()]
    first, *others = (torch.autograd.grad(loss, [x, *layer.parameters()]) for loss in losses)
    for loss, gradients in zip(losses[1:], others, strict=True):
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradients, first, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("policy", "kept"), [("exact", False), ("fast", True)])
def test_all_but_exact_have_it_on_a_cpu(policy: str, kept: bool) -> None:
    config = compose(["scale=smoke"])
    network = build_network(config.model)
    device = Device(torch.device("cpu"), PrecisionPolicy(policy), compile=False, threads=1)
    build_gradients(resolve(config), network, device)
    layers = [part for part in network.modules() if isinstance(part, CausalSelfAttention)]
    assert layers
    assert all((layer.causal_attention is causal_attention) == kept for layer in layers)
