"""Gradient clipping compared with torch.nn.utils.clip_grad_norm_."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lmlab.optim.clip import clip_gradients


def weights_with_gradients(scale: float) -> list[nn.Parameter]:
    """Three parameters with gradients of this scale, and a last one without."""
    generator = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,), (2, 2))]
    for weight in weights:
        weight.grad = scale * torch.randn(weight.shape, generator=generator)
    return [*weights, nn.Parameter(torch.zeros(2))]


@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_clipping_equals_that_of_torch(scale: float) -> None:
    clipped, expected = weights_with_gradients(scale), weights_with_gradients(scale)
    norm = clip_gradients(clipped, 1.0)
    torch.testing.assert_close(norm, nn.utils.clip_grad_norm_(expected, 1.0))
    for weight, other in zip(clipped[:-1], expected[:-1], strict=True):
        torch.testing.assert_close(weight.grad, other.grad)
    assert clipped[-1].grad is None


def test_without_a_limit_the_norm_is_computed_and_gradients_stay_unchanged() -> None:
    weights, before = weights_with_gradients(10.0), weights_with_gradients(10.0)
    norm = clip_gradients(iter(weights), None)
    expected = torch.cat([w.grad.flatten() for w in before[:-1] if w.grad is not None]).norm()
    torch.testing.assert_close(norm, expected)
    for weight, other in zip(weights[:-1], before[:-1], strict=True):
        assert weight.grad is not None and other.grad is not None
        assert torch.equal(weight.grad, other.grad)


def test_a_zero_gradient_stays_zero() -> None:
    weight = nn.Parameter(torch.zeros(3))
    weight.grad = torch.zeros(3)
    assert float(clip_gradients([weight], 1.0)) == 0.0
    assert weight.grad.tolist() == [0.0, 0.0, 0.0]


def test_without_any_gradient_the_norm_is_zero() -> None:
    assert float(clip_gradients([nn.Parameter(torch.zeros(3))], 1.0)) == 0.0
