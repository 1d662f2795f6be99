"""The operation for compiled code against the layer without it, and against a loop over pairs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from lmlab.nn.kernels.experts_op import compute_experts
from lmlab.nn.moe import MoE

D = 12


SETTINGS: dict[str, Any] = {
    "d_model": D, "d_ff": 10, "num_experts": 5, "top_k": 2, "num_shared_experts": 0,
    "scores": "softmax", "balance_coefficient": 0.5, "bias_update_rate": None,
    "z_loss_coefficient": 0.0, "capacity_factor": None,
}  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"capacity_factor": 0.5}, {"top_k": 1}], ids=str)
def test_the_operation_for_compiled_code_computes_the_same(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Some experts have no tokens."""
    torch.manual_seed(0)
    moe = MoE(**SETTINGS | {"num_experts": 20} | changes)
    found = []
    for compiled in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiled)  # noqa: B023
        x = torch.randn(3, 7, D, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = moe(x)
        found.append((y, *torch.autograd.grad(y.square().sum(), [x, *moe.parameters()])))
    assert any(not bool(one.any()) for one in found[0])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def operands(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Three tokens with two choices each of three experts, the second of which has none.

    Pair 5 (token 2, choice 1) is dropped. Returns the tokens, the order, the ends, and the matrices
    of all experts: gates, ups and downs.
    """
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(3, 4, generator=generator, dtype=dtype).requires_grad_()
    order, ends = torch.tensor([0, 2, 4, 1, 3, 5]), torch.tensor([3, 3, 5])
    shapes = [(5, 4)] * 6 + [(4, 5)] * 3
    matrices = [
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    ]
    return x_ND, order, ends, matrices


def test_each_pair_is_the_swiglu_of_its_expert_and_dropped_pairs_are_zero() -> None:
    x_ND, order, ends, matrices = operands()
    found = compute_experts(x_ND, order, ends, matrices[:3], matrices[3:6], matrices[6:])
    for pair, expert in {0: 0, 2: 0, 4: 0, 1: 2, 3: 2}.items():
        x = x_ND[pair // 2]
        gate, up = matrices[expert] @ x, matrices[3 + expert] @ x
        expected = matrices[6 + expert] @ (gate / (1 + torch.exp(-gate)) * up)
        torch.testing.assert_close(found[pair], expected)
    assert not found[5].any()


def test_gradients_equal_finite_differences() -> None:
    x_ND, order, ends, matrices = operands()

    def compute(x: Tensor, *given: Tensor) -> Tensor:
        return compute_experts(x, order, ends, given[:3], given[3:6], given[6:])

    assert torch.autograd.gradcheck(compute, (x_ND, *matrices))


def test_a_compiler_is_told_the_shapes_of_results_without_reading_data() -> None:
    x_ND, order, ends, matrices = operands(torch.float32)
    real = compute_experts(x_ND, order, ends, matrices[:3], matrices[3:6], matrices[6:])
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = [mode.from_tensor(one.detach()) for one in (x_ND, order, ends, *matrices)]
        found = compute_experts(*fake[:3], fake[3:6], fake[6:9], fake[9:])
    assert (found.shape, found.dtype) == (real.shape, real.dtype)
