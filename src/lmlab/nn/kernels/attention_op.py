"""Makes an attention of our own an operation of torch's, differentiable and compilable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmlab.nn.kernels.vmap_rule import register_vmap_rule

# From q, k, v, and tables (T, K) where an operation takes some: what tokens mixed, (B, H, T, K),
# and the logarithm of each query's sum of exponentials, (B, H, T).
Forward = Callable[..., tuple[Tensor, Tensor]]
# From mixed's gradient, the arguments and both results: the gradients of q, k and v.
Backward = Callable[..., tuple[Tensor, Tensor, Tensor]]


def define(
    name: str,
    forward: Forward,
    backward: Backward,
    *,
    forward_fake: Forward,
    backward_fake: Backward,
) -> tuple[Any, Any]:
    """Register an attention and its backward pass with torch, vmap included.

    Args:
        name: of torch's operation, ``namespace::name``.
        forward: computes.
        backward: computes.
        forward_room: tensors laid out as results of ``forward`` are, with any values.
        backward_room: likewise, of ``backward``.

    Returns:
        Both operations, to be called as ``forward`` and ``backward`` are.
    """
    attend = torch.library.custom_op(name, forward, mutates_args=())
    differentiate = torch.library.custom_op(f"{name}_backward", backward, mutates_args=())
    attend.register_fake(forward_fake)
    differentiate.register_fake(backward_fake)

    def keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.tables = len(inputs) - 3
        ctx.save_for_backward(*inputs, *output)

    def hand_on(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        found: tuple[Tensor, ...] = differentiate(gradient, *ctx.saved_tensors)
        return (*found, *[None] * ctx.tables)

    attend.register_autograd(hand_on, setup_context=keep)
    for op in (attend, differentiate):
        register_vmap_rule(op)
    return attend, differentiate


def empty_token_major(part: Tensor) -> Tensor:
    """Room for a result shaped as ``part``, (B, H, T, K), laid out as projections of a model."""
    batch, heads, tokens, width = part.shape
    return part.new_empty(batch, tokens, heads, width).transpose(1, 2)
