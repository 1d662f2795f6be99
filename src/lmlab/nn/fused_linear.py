"""Several linear maps of one input: one after another, or as one product.

One product reads its input once and, on a GPU, is started once; its sums are the same, but not
always their last bits, and its backward pass adds the maps' shares inside the product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ApplyLinears = Callable[[Tensor, Sequence[nn.Linear]], Sequence[Tensor]]


def separate_linears(x: Tensor, maps: Sequence[nn.Linear]) -> Sequence[Tensor]:
    """Return each map's result, (..., d_out)."""
    return [linear(x) for linear in maps]


def fused_linears(x: Tensor, maps: Sequence[nn.Linear]) -> Sequence[Tensor]:
    """Return each map's result, (..., d_out), as a part of one product. Maps have no bias."""
    return fused_linear(x, maps).split([linear.out_features for linear in maps], dim=-1)


def fused_linear(x: Tensor, maps: Sequence[nn.Linear]) -> Tensor:
    """Return the maps' results one behind the other, (..., sum of d_out). Maps have no bias."""
    return F.linear(x, torch.cat([linear.weight for linear in maps]))
