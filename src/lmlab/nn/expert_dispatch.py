"""Which tokens each expert computes: pairs of a token and an expert, sorted by expert.

Every step is a sort, a copy or a sum over an axis, so that results have the same bits each time;
no values are added in the order in which threads happen to finish.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor


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
