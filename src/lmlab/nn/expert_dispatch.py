"""Which tokens each expert computes: pairs of a token and an expert, sorted by expert.

Every step is a sort, a copy or a sum over an axis, so that results have the same bits each time;
no values are added in the order in which threads happen to finish.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@dataclasses.dataclass(frozen=True)
class Dispatch:
    """The pairs that each expert computes.

    Pair ``n * K + j`` is token n with the expert of its choice j, where K is the number of choices
    per token.

    Attributes:
        order: the pairs (N * K,) int64 in the order of their experts, and those of an expert in
            the order of their tokens. Dropped pairs come last.
        ends: (E,) int64; the pairs of expert e in ``order`` end before ``ends[e]`` and begin where
            those of the previous expert end.
        loads: pairs of each expert before any is dropped, (E,) int64.
    """

    order: Tensor
    ends: Tensor
    loads: Tensor

    def dropped_share(self) -> Tensor:
        """Return the share of pairs that no expert computes, a scalar."""
        return 1 - self.ends[-1] / len(self.order)


def dispatch(experts_NK: Tensor, num_experts: int, capacity: int | None = None) -> Dispatch:
    """Assign each pair of a token and a chosen expert to that expert.

    An expert with more pairs than its capacity computes those of the first tokens of the batch and
    drops the others. So no token takes the place of an earlier one of its sequence.

    Args:
        experts_NK: the different experts that each token chose, int64.
        num_experts: E.
        capacity: most pairs per expert; None to drop none.
    """
    expert_of_pair, order = torch.sort(experts_NK.flatten(), stable=True)
    numbers = torch.arange(num_experts, device=order.device)
    ends = torch.searchsorted(expert_of_pair, numbers, right=True)
    loads = ends.diff(prepend=ends.new_zeros(1))
    if capacity is not None:
        rank = torch.arange(len(order), device=order.device) - (ends - loads)[expert_of_pair]
        kept_first = expert_of_pair.masked_fill(rank >= capacity, num_experts)
        expert_of_pair, again = torch.sort(kept_first, stable=True)
        order = order[again]
        ends = torch.searchsorted(expert_of_pair, numbers, right=True)
    return Dispatch(order, ends, loads)


def expert_capacity(num_pairs: int, num_experts: int, factor: float) -> int:
    """Return the most pairs per expert: Fedus et al. 2022, equation 3, rounded up.

    Args:
        num_pairs: tokens of the pass times choices per token.
        num_experts: E.
        factor: 1 for the pairs of each expert if all had equally many.
    """
    return math.ceil(factor * num_pairs / num_experts)


@torch.compiler.disable  # the number of rows of each expert depends on the data
def apply_experts(experts: Sequence[nn.Module], x_ND: Tensor, plan: Dispatch) -> Tensor:
    """Return the output of its expert for each pair, (N * K, D) in the order of pairs.

    Dropped pairs have zeros. In gradient mode, experts without tokens get gradients of zero.

    Args:
        experts: each maps (n, D) to (n, D), where n may be 0.
        x_ND: the tokens.
        plan: of these tokens and experts.
    """
    num_pairs = len(plan.order)
    counts = plan.ends.diff(prepend=plan.ends.new_zeros(1)).tolist()  # waits for a GPU
    kept = plan.order[: sum(counts)]
    rows: Tensor = _GatherRows.apply(x_ND, kept, num_pairs // len(x_ND))
    outputs = [
        expert(part)
        for expert, part in zip(experts, rows.split(counts), strict=True)
        if len(part) or torch.is_grad_enabled()
    ]
    scattered: Tensor = _ScatterRows.apply(torch.cat(outputs), kept, num_pairs)
    return scattered


class _GatherRows(torch.autograd.Function):
    """Copy the token of each pair; the gradients of a token's pairs are added over an axis."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, pairs: Tensor, num_choices: int) -> Tensor:
        ctx.save_for_backward(pairs)
        ctx.shape = (len(x_ND), num_choices, x_ND.shape[1])
        return x_ND.index_select(0, pairs // num_choices)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (pairs,) = ctx.saved_tensors
        tokens, choices, width = ctx.shape
        spread = gradient.new_zeros(tokens * choices, width).index_copy_(0, pairs, gradient)
        return spread.view(tokens, choices, width).sum(1), None, None


class _ScatterRows(torch.autograd.Function):
    """Put rows at their pairs, with zeros elsewhere; torch's own copy would keep the rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, pairs: Tensor, num_pairs: int) -> Tensor:
        ctx.save_for_backward(pairs)
        return rows.new_zeros(num_pairs, rows.shape[1]).index_copy_(0, pairs, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (pairs,) = ctx.saved_tensors
        return gradient.index_select(0, pairs), None, None
