"""float32 attention on a CPU compared with float64: dtypes, bit equality, and vmap."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lmlab.nn import attention
from lmlab.nn.attention import CausalSelfAttention
from lmlab.nn.kernels import fp32_attention
from lmlab.nn.kernels.fp32_attention import causal_attention
from lmlab.nn.pos import ALiBi, NoPE

SHAPES = [(1, 1, 1, 8), (2, 3, 17, 16), (2, 4, 130, 32)]


@pytest.fixture
def medium() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision("highest")


def random_inputs(shape: tuple[int, ...], dtype: torch.dtype, *leading: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    drawn = [torch.randn(*leading, *shape, generator=generator).to(dtype) for _ in range(4)]
    return [part.requires_grad_() for part in drawn[:3]] + drawn[3:]


def reference(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    tokens = q.shape[-2]
    scores = q @ k.mT / q.shape[-1] ** 0.5
    is_later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    return scores.masked_fill(is_later, float("-inf")).softmax(-1) @ v


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_output_and_gradients_equal_those_of_the_equation(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    *inputs, gradient = random_inputs(shape, dtype)
    found = causal_attention(*inputs)
    exact_inputs = [part.detach().double().requires_grad_() for part in inputs]
    exact = reference(*exact_inputs)
    bounds = {"rtol": 1e-5, "atol": 2e-6} if dtype is torch.float32 else {"rtol": 0, "atol": 0.03}
    assert found.dtype is dtype
    torch.testing.assert_close(found.double(), exact, **bounds)
    found_gradients = torch.autograd.grad(found, inputs, gradient)
    expected_gradients = torch.autograd.grad(exact, exact_inputs, gradient.double())
    for one, other in zip(found_gradients, expected_gradients, strict=True):
        assert one.dtype is dtype
        torch.testing.assert_close(one.double(), other, **bounds)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fake_tensors_and_autograd_are_registered_correctly(dtype: torch.dtype) -> None:
    *inputs, gradient = random_inputs((2, 3, 17, 16), dtype)
    token_major = [part.detach().transpose(1, 2).contiguous().transpose(1, 2) for part in inputs]
    for layout in (inputs, token_major, [inputs[0], *token_major[1:]]):
        forward = torch.library.opcheck(fp32_attention._operation, tuple(layout))
        detached = [part.detach() for part in layout]
        results = fp32_attention._operation(*detached)
        backward = torch.library.opcheck(
            fp32_attention._backward_operation, (gradient, *detached, *results)
        )
        assert {*forward.values(), *backward.values()} == {"SUCCESS"}


def test_splitting_the_batch_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    *inputs, gradient = random_inputs((5, 2, 40, 16), torch.bfloat16)

    def both() -> list[Tensor]:
        output = causal_attention(*inputs)
        return [output, *torch.autograd.grad(output, inputs, gradient)]

    unsplit = both()
    monkeypatch.setattr(
        fp32_attention, "_COPIED_VALUES", 2 * 2 * 40 * 16
    )  # slices of 2, 2 and 1 sequences
    assert all(map(torch.equal, both(), unsplit))


def test_bits_equal_plain_float32_products_and_the_precision_is_restored(medium: None) -> None:
    *inputs, gradient = random_inputs((2, 4, 64, 32), torch.float32)
    found_gradients = torch.autograd.grad(causal_attention(*inputs), inputs, gradient)
    assert torch.get_float32_matmul_precision() == "medium"
    torch.set_float32_matmul_precision("highest")
    plain = F.scaled_dot_product_attention(*inputs, is_causal=True)
    expected_gradients = torch.autograd.grad(plain, inputs, gradient)
    assert all(map(torch.equal, found_gradients, expected_gradients))


@pytest.mark.parametrize("groups", [4, 2])
def test_a_bias_falls_back_to_torch(medium: None, groups: int) -> None:
    pos = ALiBi(d_model=32, d_head=8, context_length=16)
    q, k, v, _ = random_inputs((2, 4, 9, 8), torch.float32)
    k, v = k[:, :groups], v[:, :groups]
    assert torch.equal(causal_attention(q, k, v, pos), attention.causal_attention(q, k, v, pos))


def test_vmap_over_models_equals_each_model_alone() -> None:
    *inputs, gradient = random_inputs((2, 3, 9, 8), torch.float32, 4)

    def loss(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        return (causal_attention(q, k, v) * g).sum()

    vmapped = torch.autograd.grad(torch.func.vmap(loss)(*inputs, gradient).sum(), inputs)
    for index in range(4):
        alone = [part[index].detach().requires_grad_() for part in inputs]
        found = torch.autograd.grad(loss(*alone, gradient[index]), alone)
        for one, other in zip(found, vmapped, strict=True):
            torch.testing.assert_close(one, other[index], rtol=1e-6, atol=1e-6)


def test_a_layer_compiles_without_graph_breaks(medium: None) -> None:
    num_kv_heads = 2
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
