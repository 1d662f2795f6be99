"""The head's product and the loss on a CPU, with a kernel of our own, where a run is compiled.

A chunk's logits become their gradients in place, in the dtype of the products; softmax and loss
are float32. ``softmax_gradients.cpp`` says how.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmlab.native import build_library
from lmlab.nn.loss_counts import chunk_rows_in_place

SOURCE = Path(__file__).with_name("softmax_gradients.cpp")
_library: ctypes.CDLL | None = None


def prepare(folder: Path) -> None:
    """Make :func:`chunked_cross_entropy` ready.

    Args:
        folder: where compiled kernels are kept.

    Raises:
        ConfigError: the compiler does not compile it.
    """
    global _library
    if _library is None:
        library = build_library(SOURCE, folder, {})
        function = library.softmax_gradients
        function.restype = ctypes.c_bool
        pointers = [ctypes.c_void_p] * 4
        function.argtypes = [ctypes.c_bool, *pointers, ctypes.c_float, ctypes.c_int]
        _library = library


def chunked_cross_entropy(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
    """What :func:`lmlab.nn.chunked_loss.chunked_cross_entropy` computes, in chunks of its own."""
    loss: Tensor = _operation(hidden_ND, weight_VD, targets_N)[0]
    return loss


@torch.library.custom_op("lmlab::compiled_cross_entropy", mutates_args=())
def _operation(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    count = len(targets)
    rows = chunk_rows_in_place(len(weight), weight.dtype.itemsize)
    logits = weight.new_empty(min(rows, count), len(weight))
    losses = torch.empty(count)
    hidden_gradient, weight_gradient = torch.empty_like(hidden), None
    targets = targets.contiguous()
    for start in range(0, count, rows):
        part = hidden[start : start + rows]
        values = logits[: len(part)]
        torch.mm(part, weight.T, out=values)
        _replace(values, targets[start : start + rows], losses[start : start + rows], 1 / count)
        torch.mm(values, weight, out=hidden_gradient[start : start + rows])
        if weight_gradient is None:
            weight_gradient = values.T @ part
        elif weight.dtype is torch.float32:
            torch.addmm(weight_gradient, values.T, part, out=weight_gradient)
        else:
            weight_gradient = weight_gradient.float().add_(values.T @ part)
    assert weight_gradient is not None
    return losses.sum() / count, hidden_gradient, weight_gradient.to(weight.dtype)


def _replace(values: Tensor, targets: Tensor, losses: Tensor, factor: float) -> None:
    assert _library is not None, "prepare() comes first"
    if not _library.softmax_gradients(
        values.dtype is torch.bfloat16,
        (ctypes.c_int64 * 2)(*values.shape),
        *(part.data_ptr() for part in (values, targets, losses)),
        factor,
        torch.get_num_threads(),
    ):
        raise MemoryError("the loss: there is no memory for the logits of one token")


@_operation.register_fake
def _room(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return hidden.new_empty((), dtype=torch.float32), hidden.new_empty(hidden.shape), weight.clone()


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*output[1:])


def _hand_on(ctx: Any, scale: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None]:
    hidden, weight = ctx.saved_tensors
    return hidden * scale.to(hidden.dtype), weight * scale.to(weight.dtype), None


_operation.register_autograd(_hand_on, setup_context=_keep)
