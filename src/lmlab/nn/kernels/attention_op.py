"""Registers an attention kernel with torch as a differentiable, compilable operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmlab.nn.kernels.vmap_rule import register_vmap_rule

# (q, k, v, *tables) -> attention output (B, H, T, K) and the logarithm of each query's sum of
# exponentials (B, H, T). Tables are (T, K) constants that some operations take.
Forward = Callable[..., tuple[Tensor, Tensor]]
# (gradient of the output, arguments and results of forward) -> gradients of q, k and v.
Backward = Callable[..., tuple[Tensor, Tensor, Tensor]]


def define_attention_op(
    name: str,
    forward: Forward,
    backward: Backward,
    *,
    forward_fake: Forward,
    backward_fake: Backward,
) -> tuple[Any, Any]:
    """Register an attention kernel with torch, including autograd, torch.compile and vmap.

    Args:
        name: name of the operation, ``namespace::name``.
        forward: implementation of the forward pass.
        backward: implementation of the backward pass.
        forward_fake: returns uninitialised tensors with the shapes, strides and dtypes of the
            results of ``forward``.
        backward_fake: the same for ``backward``.

    Returns:
        The forward and the backward operation, with the arguments of ``forward`` and ``backward``.
    """
    attend = torch.library.custom_op(name, forward, mutates_args=())
    differentiate = torch.library.custom_op(f"{name}_backward", backward, mutates_args=())
    attend.register_fake(forward_fake)
    differentiate.register_fake(backward_fake)

    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.num_tables = len(inputs) - 3
        ctx.save_for_backward(*inputs, *output)

    def backward_pass(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients: tuple[Tensor, ...] = differentiate(gradient, *ctx.saved_tensors)
        return (*gradients, *[None] * ctx.num_tables)

    attend.register_autograd(backward_pass, setup_context=setup_context)
    for op in (attend, differentiate):
        register_vmap_rule(op)
    return attend, differentiate


def empty_token_major(like: Tensor) -> Tensor:
    """Return an empty tensor shaped like ``like`` (B, H, T, K), laid out as (B, T, H, K)."""
    batch, heads, tokens, width = like.shape
    return like.new_empty(batch, tokens, heads, width).transpose(1, 2)
