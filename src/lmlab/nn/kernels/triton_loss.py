"""The head's product and the loss on a GPU, with a kernel of our own, where a run is compiled.

A program holds all logits of a token in registers: they are read once and written once.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from lmlab.nn.kernels.loss_op import define

MAX_VOCABULARY = 1 << 16  # whose logits one program holds


@triton.jit
def _softmax_gradients(
    logits, targets, losses, step, vocabulary, factor, FRONT: tl.constexpr, BACK: tl.constexpr
):  # fmt: skip
    """A token's loss, and its gradients in place of its logits.

    A program's blocks are powers of two: the vocabulary's front is full, its back may not be.
    """
    LOG2E: tl.constexpr = 1.4426950408889634
    row = tl.program_id(0).to(tl.int64)
    logits += row * step
    target = tl.load(targets + row)
    chosen = tl.load(logits + target).to(tl.float32)
    front, back = tl.arange(0, FRONT), FRONT + tl.arange(0, BACK)
    inside = back < vocabulary
    first = tl.load(logits + front).to(tl.float32)
    second = tl.load(logits + back, mask=inside, other=float("-inf")).to(tl.float32)
    largest = tl.maximum(tl.max(first, 0), tl.max(second, 0))
    first = tl.exp2((first - largest) * LOG2E)
    second = tl.exp2((second - largest) * LOG2E)
    total = tl.sum(first, 0) + tl.sum(second, 0)
    tl.store(losses + row, tl.log(total) + largest - chosen)
    share = factor / total
    first = tl.where(front == target, first * share - factor, first * share)
    second = tl.where(back == target, second * share - factor, second * share)
    tl.debug_barrier()  # `chosen` is read before another thread writes there
    tl.store(logits + front, first.to(logits.dtype.element_ty))
    tl.store(logits + back, second.to(logits.dtype.element_ty), mask=inside)


def _replace(values: Tensor, targets: Tensor, losses: Tensor, factor: float) -> None:
    rows, vocabulary = values.shape
    front = 1 << (vocabulary.bit_length() - 1)
    back = triton.next_power_of_2(max(1, vocabulary - front))
    _softmax_gradients[(rows,)](
        values, targets, losses, values.stride(0), vocabulary, factor,
        FRONT=front, BACK=back, num_warps=min(32, max(1, front // 1024)),
    )  # fmt: skip


chunked_cross_entropy = define("lmlab::triton_cross_entropy", _replace)
