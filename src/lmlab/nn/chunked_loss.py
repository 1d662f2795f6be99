"""The output head and the training loss fused, one chunk of tokens at a time.

Logits are the largest tensor of a small model's step: V values per token, and a gradient of the
same size. Here the forward pass computes the gradients together with the loss, so that only one
chunk of logits exists at a time and the backward pass only scales them (Wijmans et al. 2025, "Cut
your losses in large-vocabulary language models", section 4, with chunks in place of its kernel).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def chunked_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, rows: int
) -> Tensor:
    """Return the mean negative log-likelihood of ``hidden @ weight.T``, in nats per token.

    Softmax and loss are float32. Products have the dtype of their factors; the gradient of the
    weight is summed over the chunks in float32.

    Args:
        hidden_ND: input of the head, (tokens, D).
        weight_VD: weight of the head, in the dtype of ``hidden_ND``.
        targets_N: int64 ids of the next token.
        rows: tokens per chunk.
    """
    loss: Tensor = _ChunkedCrossEntropy.apply(hidden_ND, weight_VD, targets_N, rows)
    return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        count = len(targets)
        losses, hidden_gradients, weight_gradient = [], [], None
        for start in range(0, count, rows):
            chunk, target_ids = hidden[start : start + rows], targets[start : start + rows, None]
            # One buffer per chunk holds the logits, then their exponentials, then the gradients.
            values = (chunk @ weight.T).float()
            values -= values.amax(-1, keepdim=True)
            target_logits = values.gather(1, target_ids)
            total = values.exp_().sum(-1, keepdim=True)
            losses.append((total.log() - target_logits).sum())
            values *= 1 / count / total
            values.scatter_add_(1, target_ids, torch.full_like(target_logits, -1 / count))
            gradient = values.to(hidden.dtype)
            hidden_gradients.append(gradient @ weight)
            of_chunk = (gradient.T @ chunk).float()
            weight_gradient = (
                of_chunk if weight_gradient is None else weight_gradient.add_(of_chunk)
            )
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
