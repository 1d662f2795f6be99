"""Causal attention on a CPU in float32 by plain products, whatever the rest of a step is made of.

Torch's fused kernel splits attention into many small products. On a CPU those are slowed down by
what speeds up large ones: oneDNN in place of the plain product takes half as long again, and
bfloat16 a third longer in the backward pass. So the policies ``fast`` and ``bf16`` leave attention
out; what is kept for the backward pass has the dtype that it came in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from lmlab.nn import attention
from lmlab.nn.kernels.attention_op import define, empty_token_major
from lmlab.nn.pos import Positions

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
_COPIED = 1 << 20  # numbers of a query's copy in float32, which stay in the processor's own memory


def causal_attention(
    q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, pos: Positions | None = None
) -> Tensor:
    """What :func:`lmlab.nn.attention.causal_attention` computes.

    Grouped keys and values, G below H, are left to that.
    """
    if k_BGTK.shape[1] != q_BHTK.shape[1]:
        return attention.causal_attention(q_BHTK, k_BGTK, v_BGTK, pos)
    if pos is not None:
        q_BHTK, k_BGTK = pos.rotate(q_BHTK, None), pos.rotate(k_BGTK, None)
    mixed: Tensor = _operation(q_BHTK, k_BGTK, v_BGTK.to(q_BHTK.dtype))[0]
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


def _attend(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    with _plain_products():
        if q.dtype is torch.float32:
            mixed, log_sums = _forward(q, k, v, 0.0, True)
            return mixed, log_sums
        mixed, log_sums = _forward_fake(q, k, v)
        for part in _parts(q):
            copies = (kept[part].float() for kept in (q, k, v))
            for whole, found in zip((mixed, log_sums), _forward(*copies, 0.0, True), strict=True):
                whole[part].copy_(found)
    return mixed, log_sums


def _attend_backward(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, mixed: Tensor, log_sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    kept = (gradient, q, k, v, mixed, log_sums)
    with _plain_products():
        if q.dtype is torch.float32:
            dq, dk, dv = _backward(*kept, 0.0, True)
            return dq, dk, dv
        dq, dk, dv = _backward_fake(*kept)
        for part in _parts(q):
            copies = (one[part].float() for one in kept)
            for whole, found in zip((dq, dk, dv), _backward(*copies, 0.0, True), strict=True):
                whole[part].copy_(found)
    return dq, dk, dv


def _forward_fake(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    if q.dtype is torch.float32:
        # The kernel's own layout follows that of its arguments, and torch knows how.
        mixed, log_sums = _forward(q, k, v, 0.0, True)
        return mixed, log_sums
    sums_BTH = q.new_empty(q.shape[0], q.shape[2], q.shape[1], dtype=torch.float32)
    return empty_token_major(q), sums_BTH.transpose(1, 2)


def _backward_fake(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, mixed: Tensor, log_sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    if q.dtype is torch.float32:
        dq, dk, dv = _backward(gradient, q, k, v, mixed, log_sums, 0.0, True)
        return dq, dk, dv
    return empty_token_major(q), empty_token_major(k), empty_token_major(v)


_operation, _backward_operation = define(
    "lmlab::causal_attention",
    _attend,
    _attend_backward,
    forward_fake=_forward_fake,
    backward_fake=_backward_fake,
)
