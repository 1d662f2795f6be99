"""The output head and the loss on a GPU in Triton, for compiled bf16 runs.

A program holds all logits of a token in registers, so that they are read once and written once.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from lmlab.nn.kernels.loss_op import define_loss_op

MAX_VOCABULARY = 1 << 16  # logits that one program can hold


@triton.jit
def _softmax_gradients(
    logits, targets, losses, stride, vocabulary, scale, FRONT: tl.constexpr, BACK: tl.constexpr
):  # fmt: skip
    """Compute the loss of a token and replace its logits by their gradients.

    Blocks of a program are powers of two: the front of the vocabulary fills its block, the back
    may not.
    """
    LOG2E: tl.constexpr = 1.4426950408889634
    row = tl.program_id(0).to(tl.int64)
    logits += row * stride
    target = tl.load(targets + row)
    target_logit = tl.load(logits + target).to(tl.float32)
    front, back = tl.arange(0, FRONT), FRONT + tl.arange(0, BACK)
    inside = back < vocabulary
    first = tl.load(logits + front).to(tl.float32)
    second = tl.load(logits + back, mask=inside, other=float("-inf")).to(tl.float32)
    largest = tl.maximum(tl.max(first, 0), tl.max(second, 0))
    first = tl.exp2((first - largest) * LOG2E)
    second = tl.exp2((second - largest) * LOG2E)
    total = tl.sum(first, 0) + tl.sum(second, 0)
    tl.store(losses + row, tl.log(total) + largest - target_logit)
    probability_scale = scale / total
    first = tl.where(front == target, first * probability_scale - scale, first * probability_scale)
    second = tl.where(
        back == target, second * probability_scale - scale, second * probability_scale
    )
    tl.debug_barrier()  # reads `target_logit` before another thread overwrites it
    tl.store(logits + front, first.to(logits.dtype.element_ty))
    tl.store(logits + back, second.to(logits.dtype.element_ty), mask=inside)


def _replace_logits(logits: Tensor, targets: Tensor, losses: Tensor, scale: float) -> None:
    rows, vocabulary = logits.shape
    front = 1 << (vocabulary.bit_length() - 1)
    back = triton.next_power_of_2(max(1, vocabulary - front))
    _softmax_gradients[(rows,)](
        logits, targets, losses, logits.stride(0), vocabulary, scale,
        FRONT=front, BACK=back, num_warps=min(32, max(1, front // 1024)),
    )  # fmt: skip


chunked_cross_entropy = define_loss_op("lmlab::triton_cross_entropy", _replace_logits)
