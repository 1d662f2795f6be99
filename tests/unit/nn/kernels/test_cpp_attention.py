"""Our own attention kernel beside float64: every shape, layout, policy, and several models."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lmlab.build.factory import build_gradients
from lmlab.build.network import build_network
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.attention import CausalSelfAttention
from lmlab.nn.kernels import cpp_attention
from lmlab.nn.kernels.cpp_attention import causal_attention
from lmlab.nn.pos import NoPE, Positions, RoPE
from lmlab.runtime import cpp_extension
from lmlab.runtime.device import Device
from lmlab.runtime.precision import PrecisionPolicy

pytestmark = pytest.mark.skipif(
    cpp_extension.find_compiler() is None or not cpp_extension.is_supported(),
    reason="no C++ compiler with OpenMP here",
)
# B, H, G, T, K: less than a lane, odd, more than a block, groups, more than a panel.
SHAPES = [
    (1, 1, 1, 1, 2), (2, 3, 3, 17, 6), (1, 4, 2, 33, 16), (3, 4, 1, 65, 32), (1, 2, 2, 130, 34),
    (2, 2, 1, 64, 64), (1, 1, 1, 40, 80),
]  # fmt: skip
BOUNDS = {
    torch.float32: {"rtol": 1e-5, "atol": 3e-6},
    # Inputs, weights and results are rounded to 8 bits each.
    torch.bfloat16: {"rtol": 2**-7, "atol": 0.03},
}


@pytest.fixture(scope="module", autouse=True)
def _kernels(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("kernels")
    for width in {shape[-1] for shape in SHAPES} | {8}:
        cpp_attention.load_kernel(width, folder)


def drawn(shape: tuple[int, ...], dtype: torch.dtype, *more: int) -> list[Tensor]:
    """Queries, keys, values and the gradient of what is mixed, heads behind tokens."""
    batch, heads, groups, tokens, width = shape
    generator = torch.Generator().manual_seed(7)
    parts = [
        torch.randn(*more, batch, tokens, count, width, generator=generator).to(dtype)
        for count in (heads, groups, groups, heads)
    ]
    return [part.transpose(-2, -3) for part in parts]


def rope(shape: tuple[int, ...]) -> RoPE:
    return RoPE(d_model=1, d_head=shape[-1], context_length=shape[-2] + 3, theta=10000.0)


def reference(q: Tensor, k: Tensor, v: Tensor, pos: Positions | None) -> Tensor:
    """The equation in the numbers given: rotation, softmax of the scores so far, mixture."""
    if pos is not None:
        q, k = pos.rotate(q, None), pos.rotate(k, None)
    shared, tokens = q.shape[1] // k.shape[1], q.shape[2]
    k, v = (part.repeat_interleave(shared, 1) for part in (k, v))
    scores = q @ k.mT / q.shape[-1] ** 0.5
    hidden = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v


def in_double(pos: RoPE | None) -> RoPE | None:
    return None if pos is None else pos.double()


def with_gradients(inputs: list[Tensor], gradient: Tensor, mixed: Tensor) -> list[Tensor]:
    return [mixed.detach(), *torch.autograd.grad(mixed, inputs, gradient)]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_the_equation(
    shape: tuple[int, ...], dtype: torch.dtype, turned: bool
) -> None:
    *parts, gradient = drawn(shape, dtype)
    inputs = [part.requires_grad_() for part in parts]
    found = with_gradients(
        inputs, gradient, causal_attention(*inputs, rope(shape) if turned else None)
    )
    exact_inputs = [part.detach().double().requires_grad_() for part in parts]
    exact = with_gradients(
        exact_inputs, gradient.double(),
        reference(*exact_inputs, in_double(rope(shape)) if turned else None),
    )  # fmt: skip
    for one, other in zip(found, exact, strict=True):
        assert one.dtype is dtype
        torch.testing.assert_close(one.double(), other, **BOUNDS[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_do_not_depend_on_layout_or_threads(dtype: torch.dtype) -> None:
    shape = (5, 4, 2, 70, 16)
    *parts, gradient = drawn(shape, dtype)
    joint = torch.cat([part.transpose(1, 2) for part in parts], 2)
    views = [part.transpose(1, 2) for part in joint.split([4, 2, 2], 2)]
    strange = [part.mT.contiguous().mT for part in parts]  # the width's stride is not 1
    layouts = [parts, [part.contiguous() for part in parts], views, strange]
    results = []
    for given, threads in itertools.product(layouts, (1, 2, 3)):
        torch.set_num_threads(threads)
        inputs = [part.detach().requires_grad_() for part in given]
        results.append(with_gradients(inputs, gradient, causal_attention(*inputs, rope(shape))))
    first, *others = results
    for result in others:
        assert all(map(torch.equal, result, first))


def test_scores_too_large_for_their_exponential() -> None:
    shape = (1, 2, 2, 40, 16)
    q, k, v, gradient = drawn(shape, torch.float32)
    inputs = [part.requires_grad_() for part in (q * 300, k, v)]
    found = with_gradients(inputs, gradient, causal_attention(*inputs))
    exact_inputs = [part.detach().double().requires_grad_() for part in inputs]
    exact = with_gradients(exact_inputs, gradient.double(), reference(*exact_inputs, None))
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_stays_none(dtype: torch.dtype, value: float) -> None:
    """A diverged model is seen as such: from the query that it meets on, and not before."""
    *parts, _ = drawn((2, 2, 2, 70, 16), dtype)
    parts[1][1, 0, 50, 3] = value
    found = causal_attention(*parts).isnan()
    assert torch.equal(found, reference(*(part.double() for part in parts), None).isnan())
    assert found[1, 0].any() and not found[1, 0, :50].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_the_compiler_is_told_is_so(dtype: torch.dtype) -> None:
    shape = (2, 4, 2, 17, 16)
    *parts, gradient = drawn(shape, dtype)
    pos = rope(shape)
    for tables in ((None, None), (pos.cos_SK[:17], pos.sin_SK[:17])):
        for laid in (parts, [part.contiguous() for part in parts]):
            inputs = [part.detach().requires_grad_() for part in laid]
            torch.library.opcheck(cpp_attention._operation, (*inputs, *tables))
            kept = [part.detach() for part in laid]
            results = cpp_attention._operation(*kept, *tables)
            torch.library.opcheck(
                cpp_attention._backward_operation, (gradient, *kept, *tables, *results)
            )


def test_several_models_at_once_equal_each_alone() -> None:
    shape = (2, 3, 3, 9, 16)
    *parts, gradient = drawn(shape, torch.float32, 4)
    inputs = [part.requires_grad_() for part in parts]
    pos = rope(shape)

    def weighed(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        return (causal_attention(q, k, v, pos) * g).sum()

    together = torch.autograd.grad(torch.func.vmap(weighed)(*inputs, gradient).sum(), inputs)
    for index in range(4):
        alone = [part[index].detach().requires_grad_() for part in inputs]
        found = torch.autograd.grad(weighed(*alone, gradient[index]), alone)
        for one, other in zip(found, together, strict=True):
            assert torch.equal(one, other[index])


@pytest.mark.parametrize("num_kv_heads", [4, 2])
@pytest.mark.parametrize("variant", [NoPE, RoPE])
def test_a_layer_is_compiled_in_one_piece(num_kv_heads: int, variant: type) -> None:
    more = {"theta": 100.0} if variant is RoPE else {}
    pos = variant(d_model=32, d_head=8, context_length=16, **more)
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


class Doubled(RoPE):
    """A user's own rotation."""

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        return 2 * super().rotate(x_BHTK, positions_BT)


def test_a_rotation_derived_from_ours_is_called() -> None:
    shape = (1, 2, 2, 12, 16)
    *parts, _ = drawn(shape, torch.float32)
    pos = Doubled(d_model=1, d_head=16, context_length=12, theta=10.0)
    torch.testing.assert_close(
        causal_attention(*parts, pos), reference(*parts, pos), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("policy", "compile", "own"),
    [("exact", True, False), ("fast", True, True), ("bf16", True, True), ("fast", False, False)],
)
def test_a_compiled_run_has_it_on_a_cpu(
    policy: str, compile: bool, own: bool, tmp_path: Path
) -> None:
    config = compose(["scale=smoke", f"output_root={tmp_path}"])
    network = build_network(config.model)
    device = Device(torch.device("cpu"), PrecisionPolicy(policy), compile=compile, threads=1)
    gradients = build_gradients(resolve(config), network, device)
    model = network if policy != "bf16" else gradients.working.model  # type: ignore[union-attr]
    layers = [part for part in model.modules() if isinstance(part, CausalSelfAttention)]
    assert layers
    assert all((layer.causal_attention is causal_attention) == own for layer in layers)
