"""Attention in C++ compared with float64: shapes, memory layouts, dtypes, and vmap."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from lmlab.nn.attention import CausalSelfAttention
from lmlab.nn.attention import causal_attention as torch_attention
from lmlab.nn.kernels import cpp_attention
from lmlab.nn.kernels.cpp_attention import causal_attention
from lmlab.nn.pos import ALiBi, NoPE, PartialRoPE, Positions, RoPE
from lmlab.runtime import cpp_extension

pytestmark = pytest.mark.skipif(
    cpp_extension.find_compiler() is None or not cpp_extension.is_supported(),
    reason="there is no C++ compiler with OpenMP",
)
# B, H, G, T, K: less than a vector, odd sizes, more than a block, groups, more than a panel.
SHAPES = [
    (1, 1, 1, 1, 2), (2, 3, 3, 17, 6), (1, 4, 2, 33, 16), (3, 4, 1, 65, 32), (1, 2, 2, 130, 34),
    (2, 2, 1, 64, 64), (1, 1, 1, 40, 80),
]  # fmt: skip
BOUNDS = {
    torch.float32: {"rtol": 1e-5, "atol": 3e-6},
    # Inputs, attention weights and results are each rounded to 8 bits.
    torch.bfloat16: {"rtol": 2**-7, "atol": 0.03},
}


@pytest.fixture(scope="module", autouse=True)
def _kernels(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("kernels")
    for width in {shape[-1] for shape in SHAPES} | {8}:
        cpp_attention.load_kernel(width, folder)


def random_inputs(shape: tuple[int, ...], dtype: torch.dtype, *leading: int) -> list[Tensor]:
    """Queries, keys, values and the gradient of the output, in token-major layout."""
    batch, heads, groups, tokens, width = shape
    generator = torch.Generator().manual_seed(7)
    parts = [
        torch.randn(*leading, batch, tokens, count, width, generator=generator).to(dtype)
        for count in (heads, groups, groups, heads)
    ]
    return [part.transpose(-2, -3) for part in parts]


def rope(shape: tuple[int, ...]) -> RoPE:
    return RoPE(d_model=1, d_head=shape[-1], context_length=shape[-2] + 3, theta=10000.0)


def reference(q: Tensor, k: Tensor, v: Tensor, pos: Positions | None) -> Tensor:
    """Evaluate the equation in the dtype of the arguments."""
    if pos is not None:
        q, k = pos.rotate(q, None), pos.rotate(k, None)
    heads_per_group, tokens = q.shape[1] // k.shape[1], q.shape[2]
    k, v = (part.repeat_interleave(heads_per_group, 1) for part in (k, v))
    scores = q @ k.mT / q.shape[-1] ** 0.5
    is_later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    return scores.masked_fill(is_later, float("-inf")).softmax(-1) @ v


def in_double(pos: RoPE | None) -> RoPE | None:
    return None if pos is None else pos.double()


def with_gradients(inputs: list[Tensor], gradient: Tensor, output: Tensor) -> list[Tensor]:
    return [output.detach(), *torch.autograd.grad(output, inputs, gradient)]


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_output_and_gradients_equal_those_of_the_equation(
    shape: tuple[int, ...], dtype: torch.dtype, rotated: bool
) -> None:
    *parts, gradient = random_inputs(shape, dtype)
    inputs = [part.requires_grad_() for part in parts]
    found = with_gradients(
        inputs, gradient, causal_attention(*inputs, rope(shape) if rotated else None)
    )
    exact_inputs = [part.detach().double().requires_grad_() for part in parts]
    exact = with_gradients(
        exact_inputs, gradient.double(),
        reference(*exact_inputs, in_double(rope(shape)) if rotated else None),
    )  # fmt: skip
    for result, expected in zip(found, exact, strict=True):
        assert result.dtype is dtype
        torch.testing.assert_close(result.double(), expected, **BOUNDS[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_do_not_depend_on_memory_layout_or_threads(dtype: torch.dtype) -> None:
    shape = (5, 4, 2, 70, 16)
    *parts, gradient = random_inputs(shape, dtype)
    fused = torch.cat([part.transpose(1, 2) for part in parts], 2)
    views = [part.transpose(1, 2) for part in fused.split([4, 2, 2], 2)]
    transposed = [part.mT.contiguous().mT for part in parts]  # the stride of the width is not 1
    layouts = [parts, [part.contiguous() for part in parts], views, transposed]
    results = []
    for layout, threads in itertools.product(layouts, (1, 2, 3)):
        torch.set_num_threads(threads)
        inputs = [part.detach().requires_grad_() for part in layout]
        results.append(with_gradients(inputs, gradient, causal_attention(*inputs, rope(shape))))
    first, *others = results
    for result in others:
        assert all(map(torch.equal, result, first))


def test_scores_whose_exponential_overflows() -> None:
    shape = (1, 2, 2, 40, 16)
    q, k, v, gradient = random_inputs(shape, torch.float32)
    inputs = [part.requires_grad_() for part in (q * 300, k, v)]
    found = with_gradients(inputs, gradient, causal_attention(*inputs))
    exact_inputs = [part.detach().double().requires_grad_() for part in inputs]
    exact = with_gradients(exact_inputs, gradient.double(), reference(*exact_inputs, None))
    for result, expected in zip(found, exact, strict=True):
        torch.testing.assert_close(result.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_non_finite_key_makes_the_same_outputs_nan_as_the_equation(
    dtype: torch.dtype, value: float
) -> None:
    """A diverged model is visible from the affected query on, and not before."""
    *parts, _ = random_inputs((2, 2, 2, 70, 16), dtype)
    parts[1][1, 0, 50, 3] = value
    found = causal_attention(*parts).isnan()
    assert torch.equal(found, reference(*(part.double() for part in parts), None).isnan())
    assert found[1, 0].any() and not found[1, 0, :50].any()


@pytest.mark.long
@pytest.mark.parametrize("rotated", [False, True])
def test_fake_tensors_and_autograd_are_registered_correctly(rotated: bool) -> None:
    shape = (2, 4, 2, 17, 16)
    *parts, gradient = random_inputs(shape, torch.bfloat16 if rotated else torch.float32)
    pos = rope(shape)
    tables = (pos.cos_SK[:17], pos.sin_SK[:17]) if rotated else (None, None)
    for layout in (parts, [part.contiguous() for part in parts]):
        inputs = [part.detach().requires_grad_() for part in layout]
        forward = torch.library.opcheck(cpp_attention._operation, (*inputs, *tables))
        detached = [part.detach() for part in layout]
        results = cpp_attention._operation(*detached, *tables)
        backward = torch.library.opcheck(
            cpp_attention._backward_operation, (gradient, *detached, *tables, *results)
        )
        assert {*forward.values(), *backward.values()} == {"SUCCESS"}


def test_vmap_over_models_equals_each_model_alone() -> None:
    shape = (2, 3, 3, 9, 16)
    *parts, gradient = random_inputs(shape, torch.float32, 4)
    inputs = [part.requires_grad_() for part in parts]
    pos = rope(shape)

    def loss(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        return (causal_attention(q, k, v, pos) * g).sum()

    vmapped = torch.autograd.grad(torch.func.vmap(loss)(*inputs, gradient).sum(), inputs)
    for index in range(4):
        alone = [part[index].detach().requires_grad_() for part in inputs]
        found = torch.autograd.grad(loss(*alone, gradient[index]), alone)
        for result, stacked in zip(found, vmapped, strict=True):
            assert torch.equal(result, stacked[index])


@pytest.mark.long
@pytest.mark.parametrize("num_kv_heads", [4, 2])
@pytest.mark.parametrize("variant", [NoPE, RoPE])
def test_a_layer_compiles_without_graph_breaks(num_kv_heads: int, variant: type) -> None:
    parameters = {"theta": 100.0} if variant is RoPE else {}
    pos = variant(d_model=32, d_head=8, context_length=16, **parameters)
    layer = CausalSelfAttention(
        d_model=32, num_heads=4, pos=pos, num_kv_heads=num_kv_heads, qk_norm=True
    )
    x = torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(1), requires_grad=True)
    expected = layer(x).square().mean()
    layer.causal_attention = causal_attention
    compiled = torch.compile(layer, dynamic=False, fullgraph=True)
    losses = [expected, layer(x).square().mean(), compiled(x).square().mean()]
    first, *others = (torch.autograd.grad(loss, [x, *layer.parameters()]) for loss in losses)
    for loss, gradients in zip(losses[1:], others, strict=True):
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradients, first, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("groups", [4, 2])
def test_a_bias_and_a_rotation_without_tables_equal_torch(groups: int) -> None:
    *parts, _ = random_inputs((2, 4, groups, 12, 16), torch.float32)
    sizes = {"d_model": 64, "d_head": 16, "context_length": 16}
    for pos in (ALiBi(**sizes), PartialRoPE(theta=10.0, fraction=0.5, **sizes)):
        found, expected = causal_attention(*parts, pos), torch_attention(*parts, pos)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


class DoubledRotation(RoPE):
    """A rotation that a user derived from RoPE."""

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        return 2 * super().rotate(x_BHTK, positions_BT)


def test_a_subclass_of_rope_rotates_by_its_own_method() -> None:
    shape = (1, 2, 2, 12, 16)
    *parts, _ = random_inputs(shape, torch.float32)
    pos = DoubledRotation(d_model=1, d_head=16, context_length=12, theta=10.0)
    torch.testing.assert_close(
        causal_attention(*parts, pos), reference(*parts, pos), rtol=1e-5, atol=1e-5
    )
