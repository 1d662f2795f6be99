"""Registration of loss kernels: chunks, autograd and dtypes of a kernel in torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lmlab.nn.kernels import loss_op
from lmlab.nn.kernels.loss_op import define_loss_op


def _replace_logits(logits: Tensor, targets: Tensor, losses: Tensor, scale: float) -> None:
    log_probabilities = logits.float().log_softmax(-1)
    losses.copy_(-log_probabilities.gather(1, targets[:, None])[:, 0])
    gradient = log_probabilities.exp() - F.one_hot(targets, logits.shape[1])
    logits.copy_(scale * gradient)


chunked_cross_entropy = define_loss_op("lmlab_test::cross_entropy", _replace_logits)


def random_inputs(tokens: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, 8, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(33, 8, generator=generator).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(0, 33, (tokens,), generator=generator)


@pytest.mark.parametrize("tokens", [1, 7, 20])
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_chunks_of_any_size_give_the_loss_and_gradients_of_torch(
    tokens: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_op, "in_place_chunk_rows", lambda *sizes: rows)
    hidden, weight, targets = random_inputs(tokens, torch.float32)
    loss = chunked_cross_entropy(hidden, weight, targets)
    expected = F.cross_entropy(hidden @ weight.T, targets)
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(3 * loss, (hidden, weight))
    torch.testing.assert_close(found, torch.autograd.grad(3 * expected, (hidden, weight)))


def test_the_loss_is_float32_and_gradients_have_the_dtype_of_their_tensors() -> None:
    hidden, weight, targets = random_inputs(7, torch.bfloat16)
    loss = chunked_cross_entropy(hidden, weight, targets)
    assert loss.dtype is torch.float32
    assert [g.dtype for g in torch.autograd.grad(loss, (hidden, weight))] == 2 * [torch.bfloat16]


def test_targets_need_not_be_contiguous() -> None:
    hidden, weight, targets = random_inputs(7, torch.float32)
    strided = targets.repeat_interleave(2)[::2]
    assert not strided.is_contiguous()
    assert torch.equal(
        chunked_cross_entropy(hidden, weight, strided),
        chunked_cross_entropy(hidden, weight, targets),
    )


def test_torch_compile_gives_the_same_gradients() -> None:
    hidden, weight, targets = random_inputs(7, torch.float32)
    compiled = torch.compile(chunked_cross_entropy, dynamic=False, backend="aot_eager")
    found = torch.autograd.grad(compiled(hidden, weight, targets), (hidden, weight))
    plain = torch.autograd.grad(chunked_cross_entropy(hidden, weight, targets), (hidden, weight))
    torch.testing.assert_close(found, plain)
