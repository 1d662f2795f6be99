"""A linear map that stays in float32 under every policy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Float32Linear(nn.Linear):
    """``x W^T`` in float32, without a bias, whatever the precision of ``x``.

    The policy bf16 leaves its weight in float32. The input is saved as it is, not a second time in
    float32.
    """

    keeps_float32 = True

    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__(d_in, d_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, d_out) in float32 for ``x`` (n, d_in)."""
        product: Tensor = _Float32Product.apply(x, self.weight)
        return product


class _Float32Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x.float(), weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return (gradient @ weight).to(x.dtype), gradient.T @ x.float()
