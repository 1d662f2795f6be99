"""Makes the head's product and the loss, by a kernel of our own, an operation of torch's.

A chunk's logits become their gradients in place, in the dtype of the products; softmax and loss
are float32, and the weight's gradient is summed over the chunks in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmlab.nn.loss_counts import in_place_chunk_rows

# Of a chunk's logits (tokens, V), its targets, room for each token's loss, and the factor of the
# gradients, which take the logits' place.
Replace = Callable[[Tensor, Tensor, Tensor, float], None]


def define(name: str, replace: Replace) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Register the loss and its backward pass with torch.

    Args:
        name: of torch's operation, ``namespace::name``.
        replace: computes a chunk's losses and gradients from its logits.

    Returns:
        What :func:`lmlab.nn.chunked_loss.chunked_cross_entropy` computes, of the same arguments
        but the chunk's size.
    """

    def compute(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _compute(hidden, weight, targets.contiguous(), replace)

    operation = torch.library.custom_op(name, compute, mutates_args=())
    operation.register_fake(_fake)
    operation.register_autograd(_hand_on, setup_context=_keep)

    def chunked_cross_entropy(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
        loss: Tensor = operation(hidden_ND, weight_VD, targets_N)[0]
        return loss

    return chunked_cross_entropy


def _compute(
    hidden: Tensor, weight: Tensor, targets: Tensor, replace: Replace
) -> tuple[Tensor, Tensor, Tensor]:
    count = len(targets)
    rows = in_place_chunk_rows(len(weight), weight.dtype.itemsize, weight.device.type)
    logits = weight.new_empty(min(rows, count), len(weight))
    losses = hidden.new_empty(count, dtype=torch.float32)
    hidden_gradient, weight_gradient = torch.empty_like(hidden), None
    for start in range(0, count, rows):
        part = hidden[start : start + rows]
        values = logits[: len(part)]
        torch.mm(part, weight.T, out=values)
        replace(values, targets[start : start + rows], losses[start : start + rows], 1 / count)
        torch.mm(values, weight, out=hidden_gradient[start : start + rows])
        if weight_gradient is None:
            weight_gradient = values.T @ part
        elif weight.dtype is torch.float32:
            torch.addmm(weight_gradient, values.T, part, out=weight_gradient)
        else:
            weight_gradient = weight_gradient.float().add_(values.T @ part)
    assert weight_gradient is not None
    return losses.sum() / count, hidden_gradient, weight_gradient.to(weight.dtype)


def _fake(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return hidden.new_empty((), dtype=torch.float32), hidden.new_empty(hidden.shape), weight.clone()


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*output[1:])


def _hand_on(ctx: Any, scale: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None]:
    hidden, weight = ctx.saved_tensors
    return hidden * scale.to(hidden.dtype), weight * scale.to(weight.dtype), None
