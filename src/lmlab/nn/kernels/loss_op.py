"""Registers the output head and a loss kernel with torch as one operation.

The kernel overwrites a chunk's logits with their gradients, in the dtype of the products. Softmax
and loss are float32; the gradient of the weight is summed over the chunks in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmlab.nn.loss_counts import in_place_chunk_rows

# (logits (tokens, V), targets, losses, scale): writes the loss of each token to `losses`, and the
# gradients times `scale` to `logits`.
ReplaceLogits = Callable[[Tensor, Tensor, Tensor, float], None]


def define_loss_op(
    name: str, replace_logits: ReplaceLogits
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Register a loss kernel with torch, including autograd and torch.compile.

    Args:
        name: name of the operation, ``namespace::name``.
        replace_logits: replaces the logits of a chunk by their gradients and writes the losses.

    Returns:
        A function that computes :func:`lmlab.nn.chunked_loss.chunked_cross_entropy`. It takes the
        same arguments except the chunk size.
    """

    def compute(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _compute(hidden, weight, targets.contiguous(), replace_logits)

    operation = torch.library.custom_op(name, compute, mutates_args=())
    operation.register_fake(_fake)
    operation.register_autograd(_backward, setup_context=_setup_context)

    def chunked_cross_entropy(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
        loss: Tensor = operation(hidden_ND, weight_VD, targets_N)[0]
        return loss

    return chunked_cross_entropy


def _compute(
    hidden: Tensor, weight: Tensor, targets: Tensor, replace_logits: ReplaceLogits
) -> tuple[Tensor, Tensor, Tensor]:
    count = len(targets)
    rows = in_place_chunk_rows(len(weight), weight.dtype.itemsize, weight.device.type)
    logits = weight.new_empty(min(rows, count), len(weight))
    losses = hidden.new_empty(count, dtype=torch.float32)
    hidden_gradient, weight_gradient = torch.empty_like(hidden), None
    for start in range(0, count, rows):
        chunk = hidden[start : start + rows]
        values = logits[: len(chunk)]
        torch.mm(chunk, weight.T, out=values)
        replace_logits(
            values, targets[start : start + rows], losses[start : start + rows], 1 / count
        )
        torch.mm(values, weight, out=hidden_gradient[start : start + rows])
        if weight_gradient is None:
            weight_gradient = values.T @ chunk
        elif weight.dtype is torch.float32:
            torch.addmm(weight_gradient, values.T, chunk, out=weight_gradient)
        else:
            weight_gradient = weight_gradient.float().add_(values.T @ chunk)
    assert weight_gradient is not None
    return losses.sum() / count, hidden_gradient, weight_gradient.to(weight.dtype)


def _fake(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return hidden.new_empty((), dtype=torch.float32), hidden.new_empty(hidden.shape), weight.clone()


def _setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*output[1:])


def _backward(ctx: Any, scale: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None]:
    hidden, weight = ctx.saved_tensors
    return hidden * scale.to(hidden.dtype), weight * scale.to(weight.dtype), None
