"""Several linear maps of one input, computed one by one or as one fused product.

A fused product reads its input once and takes one kernel launch. It computes the same sums, but
their last bits may differ, and its backward pass sums the input's gradient inside the product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ApplyLinears = Callable[[Tensor, Sequence[nn.Linear]], Sequence[Tensor]]


def separate_linears(x: Tensor, maps: Sequence[nn.Linear]) -> Sequence[Tensor]:
    """Return the output of each map, (..., d_out), from one product per map."""
    return [linear(x) for linear in maps]


def fused_linears(x: Tensor, maps: Sequence[nn.Linear]) -> Sequence[Tensor]:
    """Return the output of each map, (..., d_out), as views of one product. Maps have no bias."""
    return fused_linear(x, maps).split([linear.out_features for linear in maps], dim=-1)


def fused_linear(
    x: Tensor, maps: Sequence[nn.Linear], factors: Sequence[float] | None = None
) -> Tensor:
    """Return the concatenated outputs, (..., sum of d_out). Maps have no bias.

    Args:
        x: input of all maps.
        maps: the maps.
        factors: multiplies the output of each map; None for 1.
    """
    weights = [linear.weight for linear in maps]
    if factors is not None:
        pairs = zip(weights, factors, strict=True)
        weights = [weight if factor == 1 else weight * factor for weight, factor in pairs]
    return F.linear(x, torch.cat(weights))
