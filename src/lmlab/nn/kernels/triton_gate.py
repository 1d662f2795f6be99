"""The gate of SwiGLU on a GPU by kernels of our own, in compiled bf16 runs.

A joint product of gate and up is read as it lies in memory, and the gradients are written where
those of the joint product belong.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lmlab.nn.kernels.vmap_rule import register_vmap_rule

ROWS, COLUMNS = 4, 512  # that a program computes


def silu_and_mul(joint: Tensor) -> Tensor:
    """``silu(gate) * up`` in float32, rounded once: (..., F).

    Args:
        joint: gate and up one behind the other, (..., 2 F).
    """
    found: Tensor = _operation(joint)
    return found


@triton.jit
def _tile(count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    return rows[:, None], columns[None, :], (rows < count)[:, None] & (columns < width)[None, :]


@triton.jit
def _forward(joint, found, count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows, columns, inside = _tile(count, width, ROWS, COLUMNS)
    own = joint + rows * (2 * width) + columns
    gate = tl.load(own, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(own + width, mask=inside, other=0.0).to(tl.float32)
    value = gate * tl.sigmoid(gate) * up
    tl.store(found + rows * width + columns, value.to(found.dtype.element_ty), mask=inside)


@triton.jit
def _backward(
    gradient, joint, joint_gradient, count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    rows, columns, inside = _tile(count, width, ROWS, COLUMNS)
    own = joint + rows * (2 * width) + columns
    gate = tl.load(own, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(own + width, mask=inside, other=0.0).to(tl.float32)
    given = tl.load(gradient + rows * width + columns, mask=inside, other=0.0).to(tl.float32)
    open_ = tl.sigmoid(gate)
    of_gate = given * up * open_ * (1.0 + gate * (1.0 - open_))
    to = joint_gradient + rows * (2 * width) + columns
    tl.store(to, of_gate.to(joint_gradient.dtype.element_ty), mask=inside)
    tl.store(to + width, (given * gate * open_).to(joint_gradient.dtype.element_ty), mask=inside)


def _launch(kernel: Any, *parts: Tensor, width: int) -> None:
    count = parts[0].numel() // parts[0].shape[-1]
    grid = (triton.cdiv(count, ROWS), triton.cdiv(width, COLUMNS))
    kernel[grid](*parts, count, width, ROWS=ROWS, COLUMNS=COLUMNS, num_warps=4)


@torch.library.custom_op("lmlab::triton_gate", mutates_args=())
def _operation(joint: Tensor) -> Tensor:
    found = _fake(joint)
    _launch(_forward, joint.contiguous(), found, width=found.shape[-1])
    return found


@_operation.register_fake
def _fake(joint: Tensor) -> Tensor:
    return joint.new_empty(*joint.shape[:-1], joint.shape[-1] // 2)


@torch.library.custom_op("lmlab::triton_gate_backward", mutates_args=())
def _backward_operation(gradient: Tensor, joint: Tensor) -> Tensor:
    found = _backward_fake(gradient, joint)
    _launch(
        _backward, gradient.contiguous(), joint.contiguous(), found, width=gradient.shape[-1]
    )  # fmt: skip
    return found


@_backward_operation.register_fake
def _backward_fake(gradient: Tensor, joint: Tensor) -> Tensor:
    return joint.new_empty(joint.shape)


def _keep(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _hand_on(ctx: Any, gradient: Tensor) -> Tensor:
    found: Tensor = _backward_operation(gradient, *ctx.saved_tensors)
    return found


_operation.register_autograd(_hand_on, setup_context=_keep)
register_vmap_rule(_operation)
register_vmap_rule(_backward_operation)
