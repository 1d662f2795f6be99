from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lmlab.nn.ffn import GEGLU, GELU, ReGLU, ReLU2, SiLU, SwiGLU
from lmlab.nn.ffn_width import auto_d_ff


@pytest.mark.parametrize(
    ("d_model", "gated", "expected"),
    [
        (512, True, 1344),  # 8/3 of 512 is 1365.3: 1344 is nearer than 1408
        (128, True, 320),  # 341.3
        (24, True, 64),
        (8, True, 64),
        (96, True, 256),
        (36, True, 128),  # 96 is half-way and is rounded up
        (512, False, 2048),
        (100, False, 400),
    ],
)
def test_default_widths(d_model: int, gated: bool, expected: int) -> None:
    assert auto_d_ff(d_model, gated) == expected


def silu(x: float) -> float:
    return x / (1 + math.exp(-x))


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


@pytest.mark.parametrize(
    ("kind", "activation"),
    [
        (SiLU, silu),
        (GELU, gelu),
        (ReLU2, lambda x: max(x, 0.0) ** 2),
    ],
)
def test_ungated_layers_equal_their_formula(kind: type[nn.Module], activation) -> None:
    layer = kind(d_model=2, d_ff=3)
    up = torch.tensor([[1.0, 0.5], [-1.0, 2.0], [0.3, -0.7]])
    down = torch.tensor([[1.0, -1.0, 2.0], [0.5, 0.0, 1.0]])
    with torch.no_grad():
        layer.up.weight.copy_(up)
        layer.down.weight.copy_(down)
    x = torch.tensor([0.9, -0.4])
    hidden = torch.tensor([activation(float(value)) for value in up @ x])
    torch.testing.assert_close(layer(x[None, None])[0, 0], down @ hidden)


@pytest.mark.parametrize(
    ("kind", "activation"),
    [(SwiGLU, silu), (GEGLU, gelu), (ReGLU, lambda x: max(x, 0.0))],
)
def test_gated_layers_equal_their_formula(kind: type[nn.Module], activation) -> None:
    layer = kind(d_model=1, d_ff=1)
    with torch.no_grad():
        for part, value in ((layer.gate, 2.0), (layer.up, 3.0), (layer.down, 5.0)):
            part.weight.fill_(value)
    for x in (0.7, -0.7):
        expected = 5 * activation(2 * x) * 3 * x
        assert layer(torch.tensor([[[x]]])).item() == pytest.approx(expected, rel=1e-6)


def test_layers_have_the_default_width_and_no_biases() -> None:
    for kind in (SwiGLU, GEGLU, ReGLU):
        assert kind(d_model=128, d_ff=None).up.weight.shape == (320, 128)
        assert {name for name, _ in kind(d_model=8, d_ff=8).named_parameters()} == {
            "gate.weight", "up.weight", "down.weight"
        }  # fmt: skip
    for kind in (SiLU, GELU, ReLU2):
        assert kind(d_model=128, d_ff=None).up.weight.shape == (512, 128)
        assert {name for name, _ in kind(d_model=8, d_ff=8).named_parameters()} == {
            "up.weight", "down.weight"
        }  # fmt: skip


def test_silu_and_mul_receives_the_product_of_gate_and_up() -> None:
    layer, x = SwiGLU(d_model=6, d_ff=10), torch.randn(2, 3, 6)
    expected = layer(x)

    def gated(joint: torch.Tensor) -> torch.Tensor:
        gate, up = joint.chunk(2, -1)
        return torch.nn.functional.silu(gate) * up

    layer.silu_and_mul = gated
    torch.testing.assert_close(layer(x), expected)
