"""Causal attention on a CPU in float32 by plain products, whatever the rest of a step is made of.

Torch's fused kernel splits attention into many small products. On a CPU those are slowed down by
what speeds up large ones: oneDNN in place of the plain product takes half as long again, and
bfloat16 a third longer in the backward pass. So the policies ``fast`` and ``bf16`` leave attention
out; what is kept for the backward pass has the dtype that it came in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
_COPIED = 1 << 20  # numbers of a query's copy in float32, which stay in the processor's own memory


def causal_attention(q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor) -> Tensor:
    """What ``scaled_dot_product_attention`` computes with ``is_causal``: (B, H, T, K).

    Grouped keys and values, G below H, are left to that.
    """
    if k_BGTK.shape[1] != q_BHTK.shape[1]:
        return F.scaled_dot_product_attention(
            q_BHTK, k_BGTK, v_BGTK, is_causal=True, enable_gqa=True
        )
    mixed: Tensor = _attend(q_BHTK, k_BGTK, v_BGTK)[0]
    return mixed


@contextlib.contextmanager
def _plain_products() -> Iterator[None]:
    former = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(former)


def _parts(q: Tensor) -> list[slice]:
    """Sequences a part, whose float32 copies take about :data:`_COPIED` numbers each."""
    size = max(1, _COPIED // q[0].numel())
    return [slice(first, first + size) for first in range(0, len(q), size)]


@torch.library.custom_op("lmlab::causal_attention", mutates_args=())
def _attend(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    with _plain_products():
        if q.dtype is torch.float32:
            mixed, log_sums = _forward(q, k, v, 0.0, True)
            return mixed, log_sums
        mixed, log_sums = _like(q), _sums_like(q)
        for part in _parts(q):
            copies = (kept[part].float() for kept in (q, k, v))
            for whole, found in zip((mixed, log_sums), _forward(*copies, 0.0, True), strict=True):
                whole[part].copy_(found)
    return mixed, log_sums


@torch.library.custom_op("lmlab::causal_attention_backward", mutates_args=())
def _attend_backward(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, mixed: Tensor, log_sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    kept = (gradient, q, k, v, mixed, log_sums)
    with _plain_products():
        if q.dtype is torch.float32:
            dq, dk, dv = _backward(*kept, 0.0, True)
            return dq, dk, dv
        dq, dk, dv = _like(q), _like(k), _like(v)
        for part in _parts(q):
            copies = (one[part].float() for one in kept)
            for whole, found in zip((dq, dk, dv), _backward(*copies, 0.0, True), strict=True):
                whole[part].copy_(found)
    return dq, dk, dv


def _like(q: Tensor) -> Tensor:
    """Room for a result, heads behind tokens, as projections of a model lie."""
    batch, heads, tokens, width = q.shape
    return q.new_empty(batch, tokens, heads, width).transpose(1, 2)


def _sums_like(q: Tensor) -> Tensor:
    """Room for the logarithm of each query's sum of exponentials, (B, H, T)."""
    batch, heads, tokens, _ = q.shape
    return q.new_empty(batch, tokens, heads, dtype=torch.float32).transpose(1, 2)


@_attend.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> Any:
    # The kernel's own layout follows that of its arguments, and torch knows how.
    return _forward(q, k, v, 0.0, True) if q.dtype is torch.float32 else (_like(q), _sums_like(q))


@_attend_backward.register_fake
def _(gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, mixed: Tensor, log_sums: Tensor) -> Any:
    if q.dtype is torch.float32:
        return _backward(gradient, q, k, v, mixed, log_sums, 0.0, True)
    return _like(q), _like(k), _like(v)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output)


def _differentiate(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = _attend_backward(gradient, *ctx.saved_tensors)
    return found


def _fold(info: Any, in_dims: tuple[int | None, ...], *parts: Tensor) -> Any:
    """Several models at once: their batches one behind the other."""
    size = info.batch_size
    moved = [
        part.expand(size, *part.shape) if dim is None else part.movedim(dim, 0)
        for part, dim in zip(parts, in_dims, strict=True)
    ]
    op = _attend if len(parts) == 3 else _attend_backward
    found = op(*(part.flatten(0, 1) for part in moved))
    return tuple(part.unflatten(0, (size, -1)) for part in found), (0,) * len(found)


_attend.register_autograd(_differentiate, setup_context=_keep)
_attend.register_vmap(_fold)
_attend_backward.register_vmap(_fold)
