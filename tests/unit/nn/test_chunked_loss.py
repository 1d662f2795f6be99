from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lmlab.nn.chunked_loss import chunked_cross_entropy


def parts(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(23, 8, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(50, 8, generator=generator).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(0, 50, (23,), generator=generator)


@pytest.mark.parametrize("rows", [1, 7, 23, 100])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_loss_and_gradients_equal_those_of_torch(rows: int, scale: float) -> None:
    hidden, weight, targets = parts(torch.float32)
    loss = chunked_cross_entropy(hidden, weight, targets, rows)
    found = torch.autograd.grad(loss * scale, (hidden, weight))
    plain = F.cross_entropy(hidden @ weight.T, targets)
    expected = torch.autograd.grad(plain * scale, (hidden, weight))
    torch.testing.assert_close(loss, plain, rtol=1e-6, atol=1e-6)
    for result, other in zip(found, expected, strict=True):
        torch.testing.assert_close(result, other, rtol=1e-5, atol=1e-7)


def test_a_tied_head_receives_both_gradients() -> None:
    _, weight, targets = parts(torch.float32)
    tokens = targets.roll(1)
    (found,) = torch.autograd.grad(
        chunked_cross_entropy(weight[tokens], weight, targets, 5), weight
    )
    (plain,) = torch.autograd.grad(F.cross_entropy(weight[tokens] @ weight.T, targets), weight)
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-7)


def test_large_logits_stay_finite() -> None:
    hidden, weight, targets = parts(torch.float32)
    loss = chunked_cross_entropy(hidden * 1e3, weight, targets, 4)
    (gradient,) = torch.autograd.grad(loss, weight)
    assert torch.isfinite(loss) and bool(torch.isfinite(gradient).all())
