"""SwiGLU's gate in Triton compared with float64, on a GPU or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from triton_cases import DEVICE

from lmlab.nn.kernels import triton_gate


def random_gate_up(shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator).to(DEVICE, torch.bfloat16).requires_grad_()


@pytest.mark.parametrize("shape", [(3, 5, 2 * 8), (9, 2 * 513), (2, 2, 2 * 1344)])
def test_output_and_gradients_equal_silu_times_up(shape: tuple[int, ...]) -> None:
    gate_up = random_gate_up(shape)
    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(*shape[:-1], shape[-1] // 2, generator=generator).to(gate_up)
    result = triton_gate.silu_and_mul(gate_up)
    gate, up = gate_up.double().chunk(2, -1)
    exact = F.silu(gate) * up
    torch.testing.assert_close(result.double(), exact, rtol=2**-7, atol=1e-6)
    (found_gradient,) = torch.autograd.grad(result, gate_up, gradient)
    (exact_gradient,) = torch.autograd.grad(exact, gate_up, gradient.double())
    torch.testing.assert_close(found_gradient, exact_gradient, rtol=2**-6, atol=1e-2)


def test_vmap_over_models_equals_each_model_alone() -> None:
    gate_up = random_gate_up((3, 5, 2 * 8)).detach()
    stacked = torch.func.vmap(triton_gate.silu_and_mul)(torch.stack([gate_up, -gate_up]))
    assert torch.equal(stacked[0], triton_gate.silu_and_mul(gate_up))
    assert torch.equal(stacked[1], triton_gate.silu_and_mul(-gate_up))


def test_fake_tensors_and_autograd_are_registered_correctly() -> None:
    gate_up = random_gate_up((2, 17, 256))
    forward = torch.library.opcheck(triton_gate._operation, (gate_up,))
    gradient = torch.ones_like(triton_gate.silu_and_mul(gate_up.detach()))
    backward = torch.library.opcheck(triton_gate._backward_operation, (gradient, gate_up.detach()))
    assert {*forward.values(), *backward.values()} == {"SUCCESS"}
