"""The head's product and the training loss together, a part of the tokens at a time.

The logits are the largest tensor of a small model's step: V values a token, with a gradient as
large. Here those of one chunk exist at a time, because the gradients of the loss are computed
where the loss is, and the backward pass only hands them on (the idea of Wijmans et al. 2025, "Cut
your losses in large-vocabulary language models", section 4, with chunks in place of its kernel).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def chunked_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, rows: int
) -> Tensor:
    """Mean negative log-likelihood in nats a token of ``hidden @ weight.T``.

    Softmax and loss are float32; products have the dtype of their factors, and the weight's
    gradient is summed over the chunks in float32.

    Args:
        hidden_ND: what the head is given, (tokens, D).
        weight_VD: of the head, in the dtype of ``hidden_ND``.
        targets_N: int64 ids of the next token.
        rows: tokens of a chunk.
    """
    loss: Tensor = _ChunkedCrossEntropy.apply(hidden_ND, weight_VD, targets_N, rows)
    return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        count = len(targets)
        losses, hidden_gradients, weight_gradient = [], [], None
        for start in range(0, count, rows):
            part, wanted = hidden[start : start + rows], targets[start : start + rows, None]
            # One buffer is all that a chunk takes: logits, then their exponentials, then gradients.
            values = (part @ weight.T).float()
            values -= values.amax(-1, keepdim=True)
            chosen = values.gather(1, wanted)
            total = values.exp_().sum(-1, keepdim=True)
            losses.append((total.log() - chosen).sum())
            values *= 1 / count / total
            values.scatter_add_(1, wanted, torch.full_like(chosen, -1 / count))
            gradient = values.to(hidden.dtype)
            hidden_gradients.append(gradient @ weight)
            own = (gradient.T @ part).float()
            weight_gradient = own if weight_gradient is None else weight_gradient.add_(own)
        assert weight_gradient is not None
        ctx.save_for_backward(torch.cat(hidden_gradients), weight_gradient.to(weight.dtype))
        return torch.stack(losses).sum() / count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (scale,) = gradients
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return (
            hidden_gradient * scale.to(hidden_gradient.dtype),
            weight_gradient * scale.to(weight_gradient.dtype),
            None,
            None,
        )
