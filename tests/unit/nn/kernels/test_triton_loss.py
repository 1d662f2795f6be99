"""The loss in Triton compared with float64, on a GPU or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from triton_cases import DEVICE

from lmlab.nn.kernels import loss_op, triton_loss

BOUNDS = {"rtol": 2**-5, "atol": 2e-3}  # logits and their gradients are rounded to 8 bits


@pytest.mark.parametrize("vocabulary", [1, 2, 16, 31, 257, 10_000])
@pytest.mark.parametrize("tokens", [1, 7, 23])
def test_loss_and_gradients_equal_those_in_float64(
    tokens: int, vocabulary: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_op, "in_place_chunk_rows", lambda *sizes: 7)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, 8, generator=generator).to(DEVICE, torch.bfloat16).requires_grad_()
    weight = torch.randn(vocabulary, 8, generator=generator).to(hidden).requires_grad_()
    targets = torch.randint(0, vocabulary, (tokens,), generator=generator).to(DEVICE)
    loss = triton_loss.chunked_cross_entropy(hidden, weight, targets)
    found = torch.autograd.grad(loss * 0.25, (hidden, weight))
    exact_loss = F.cross_entropy(hidden.double() @ weight.double().T, targets)
    exact = torch.autograd.grad(exact_loss * 0.25, (hidden, weight))
    torch.testing.assert_close(loss.double(), exact_loss, **BOUNDS)
    for result, expected in zip(found, exact, strict=True):
        torch.testing.assert_close(result, expected, **BOUNDS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("column", [0, 17, 39])
def test_a_non_finite_logit_makes_loss_and_gradients_of_its_token_nan(
    value: float, column: int
) -> None:
    logits = torch.zeros(2, 40, device=DEVICE)
    logits[1, column] = value
    losses = torch.empty(2, device=DEVICE)
    triton_loss._replace_logits(logits, torch.tensor([3, 3], device=DEVICE), losses, 1.0)
    assert losses.isnan().tolist() == [False, True]
    assert logits.isnan().any(1).tolist() == [False, True]
