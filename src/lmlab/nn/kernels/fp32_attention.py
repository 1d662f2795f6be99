"""Causal attention on a CPU by plain float32 products, for all policies other than ``exact``.

Torch's fused kernel splits attention into many small products. On a CPU, the settings that speed
up large products slow these down: oneDNN takes half as long again as the plain product, and
bfloat16 a third longer in the backward pass. The policies ``fast`` and ``bf16`` therefore exclude
attention. Tensors saved for the backward pass keep the dtype of the inputs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from lmlab.nn import attention
from lmlab.nn.kernels.attention_op import define_attention_op, empty_token_major
from lmlab.nn.pos import Positions, score_bias

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
_COPIED_VALUES = 1 << 20  # values per float32 copy, so that copies stay in the cache


def causal_attention(
    q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, pos: Positions | None = None
) -> Tensor:
    """Compute :func:`lmlab.nn.attention.causal_attention`.

    Grouped keys and values, G < H, fall back to that function, as does a position encoding that
    adds to the scores.
    """
    is_biased = pos is not None and score_bias(pos) is not None
    if is_biased or k_BGTK.shape[1] != q_BHTK.shape[1]:
        return attention.causal_attention(q_BHTK, k_BGTK, v_BGTK, pos)
    if pos is not None:
        q_BHTK, k_BGTK = pos.rotate(q_BHTK, None), pos.rotate(k_BGTK, None)
    output: Tensor = _operation(q_BHTK, k_BGTK, v_BGTK.to(q_BHTK.dtype))[0]
    return output


@contextlib.contextmanager
def _highest_matmul_precision() -> Iterator[None]:
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(previous)


def _batch_slices(q: Tensor) -> list[slice]:
    """Split the batch so that a float32 copy of ``q`` has about :data:`_COPIED_VALUES` values."""
    size = max(1, _COPIED_VALUES // q[0].numel())
    return [slice(first, first + size) for first in range(0, len(q), size)]


def _attend(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    with _highest_matmul_precision():
        if q.dtype is torch.float32:
            output, log_sums = _forward(q, k, v, 0.0, True)
            return output, log_sums
        output, log_sums = _forward_fake(q, k, v)
        for part in _batch_slices(q):
            copies = (x[part].float() for x in (q, k, v))
            for result, found in zip((output, log_sums), _forward(*copies, 0.0, True), strict=True):
                result[part].copy_(found)
    return output, log_sums


def _attend_backward(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, output: Tensor, log_sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    saved = (gradient, q, k, v, output, log_sums)
    with _highest_matmul_precision():
        if q.dtype is torch.float32:
            dq, dk, dv = _backward(*saved, 0.0, True)
            return dq, dk, dv
        dq, dk, dv = _backward_fake(*saved)
        for part in _batch_slices(q):
            copies = (x[part].float() for x in saved)
            for result, found in zip((dq, dk, dv), _backward(*copies, 0.0, True), strict=True):
                result[part].copy_(found)
    return dq, dk, dv


def _forward_fake(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    if q.dtype is torch.float32:
        # The layout of the results depends on that of the arguments; ask torch's kernel.
        output, log_sums = _forward(q, k, v, 0.0, True)
        return output, log_sums
    sums_BTH = q.new_empty(q.shape[0], q.shape[2], q.shape[1], dtype=torch.float32)
    return empty_token_major(q), sums_BTH.transpose(1, 2)


def _backward_fake(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, output: Tensor, log_sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    if q.dtype is torch.float32:
        dq, dk, dv = _backward(gradient, q, k, v, output, log_sums, 0.0, True)
        return dq, dk, dv
    return empty_token_major(q), empty_token_major(k), empty_token_major(v)


_operation, _backward_operation = define_attention_op(
    "lmlab::causal_attention",
    _attend,
    _attend_backward,
    forward_fake=_forward_fake,
    backward_fake=_backward_fake,
)
