from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lmlab.nn.chunked_loss import chunked_cross_entropy
from lmlab.nn.loss_counts import MIN_ROWS, VALUES_PER_CHUNK, chunk_rows


def parts(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(23, 8, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(50, 8, generator=generator).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(0, 50, (23,), generator=generator)


@pytest.mark.parametrize("rows", [1, 7, 23, 100])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_loss_and_gradients_are_those_of_torch(rows: int, scale: float) -> None:
    hidden, weight, targets = parts(torch.float32)
    loss = chunked_cross_entropy(hidden, weight, targets, rows)
    own = torch.autograd.grad(loss * scale, (hidden, weight))
    plain = F.cross_entropy(hidden @ weight.T, targets)
    theirs = torch.autograd.grad(plain * scale, (hidden, weight))
    torch.testing.assert_close(loss, plain, rtol=1e-6, atol=1e-6)
    for ours, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-7)


def test_a_head_tied_to_the_embedding_gets_both_gradients() -> None:
    _, weight, targets = parts(torch.float32)
    tokens = targets.roll(1)
    (own,) = torch.autograd.grad(chunked_cross_entropy(weight[tokens], weight, targets, 5), weight)
    (plain,) = torch.autograd.grad(F.cross_entropy(weight[tokens] @ weight.T, targets), weight)
    torch.testing.assert_close(own, plain, rtol=1e-5, atol=1e-7)


def test_large_logits_stay_finite() -> None:
    hidden, weight, targets = parts(torch.float32)
    loss = chunked_cross_entropy(hidden * 1e3, weight, targets, 4)
    (gradient,) = torch.autograd.grad(loss, weight)
    assert torch.isfinite(loss) and bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("vocabulary", [256, 10_000, 50_257, 10**7])
def test_a_chunks_logits_are_bounded(vocabulary: int, device: str) -> None:
    rows = chunk_rows(vocabulary, device)
    assert (
        rows == MIN_ROWS
        or VALUES_PER_CHUNK[device] / 2 < rows * vocabulary <= VALUES_PER_CHUNK[device]
    )
