"""SwiGLU's ``silu(gate) * up`` on a GPU in Triton, for compiled bf16 runs.

The kernels read the fused product of gate and up in its memory layout and write gradients in the
same layout, so that nothing is copied.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lmlab.nn.kernels.vmap_rule import register_vmap_rule

ROWS, COLUMNS = 4, 512  # tile of a program


def silu_and_mul(gate_up: Tensor) -> Tensor:
    """Return ``silu(gate) * up`` (..., F), computed in float32 and rounded once.

    Args:
        gate_up: gate and up concatenated, (..., 2 F).
    """
    result: Tensor = _operation(gate_up)
    return result


@triton.jit
def _tile(count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    return rows[:, None], columns[None, :], (rows < count)[:, None] & (columns < width)[None, :]


@triton.jit
def _forward(gate_up, result, count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows, columns, inside = _tile(count, width, ROWS, COLUMNS)
    source = gate_up + rows * (2 * width) + columns
    gate = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(source + width, mask=inside, other=0.0).to(tl.float32)
    value = gate * tl.sigmoid(gate) * up
    tl.store(result + rows * width + columns, value.to(result.dtype.element_ty), mask=inside)


@triton.jit
def _backward(
    gradient, gate_up, gate_up_gradient, count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    rows, columns, inside = _tile(count, width, ROWS, COLUMNS)
    source = gate_up + rows * (2 * width) + columns
    gate = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(source + width, mask=inside, other=0.0).to(tl.float32)
    upstream = tl.load(gradient + rows * width + columns, mask=inside, other=0.0).to(tl.float32)
    sigmoid = tl.sigmoid(gate)
    gate_gradient = upstream * up * sigmoid * (1.0 + gate * (1.0 - sigmoid))
    target = gate_up_gradient + rows * (2 * width) + columns
    tl.store(target, gate_gradient.to(gate_up_gradient.dtype.element_ty), mask=inside)
    tl.store(
        target + width,
        (upstream * gate * sigmoid).to(gate_up_gradient.dtype.element_ty),
        mask=inside,
    )


def _launch(kernel: Any, *parts: Tensor, width: int) -> None:
    count = parts[0].numel() // parts[0].shape[-1]
    grid = (triton.cdiv(count, ROWS), triton.cdiv(width, COLUMNS))
    kernel[grid](*parts, count, width, ROWS=ROWS, COLUMNS=COLUMNS, num_warps=4)


@torch.library.custom_op("lmlab::triton_gate", mutates_args=())
def _operation(gate_up: Tensor) -> Tensor:
    result = _fake(gate_up)
    _launch(_forward, gate_up.contiguous(), result, width=result.shape[-1])
    return result


@_operation.register_fake
def _fake(gate_up: Tensor) -> Tensor:
    return gate_up.new_empty(*gate_up.shape[:-1], gate_up.shape[-1] // 2)


@torch.library.custom_op("lmlab::triton_gate_backward", mutates_args=())
def _backward_operation(gradient: Tensor, gate_up: Tensor) -> Tensor:
    result = _backward_fake(gradient, gate_up)
    _launch(
        _backward, gradient.contiguous(), gate_up.contiguous(), result, width=gradient.shape[-1]
    )  # fmt: skip
    return result


@_backward_operation.register_fake
def _backward_fake(gradient: Tensor, gate_up: Tensor) -> Tensor:
    return gate_up.new_empty(gate_up.shape)


def _setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _autograd_backward(ctx: Any, gradient: Tensor) -> Tensor:
    result: Tensor = _backward_operation(gradient, *ctx.saved_tensors)
    return result


_operation.register_autograd(_autograd_backward, setup_context=_setup_context)
register_vmap_rule(_operation)
register_vmap_rule(_backward_operation)
