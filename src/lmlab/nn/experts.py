"""The experts of a layer, and how they compute the tokens that are theirs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lmlab.nn.expert_dispatch import Dispatch
from lmlab.nn.kernels.experts_op import compute_experts


class Expert(nn.Module):
    """``down(silu(gate(x)) * up(x))`` of (n, D): Shazeer 2020, equation 6."""

    def __init__(self, *, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_ff, bias=False)
        self.up = nn.Linear(d_model, d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x_ND: Tensor) -> Tensor:
        """Return (n, D)."""
        x: Tensor = self.down(F.silu(self.gate(x_ND)) * self.up(x_ND))
        return x


def apply_experts(experts: nn.ModuleList, x_ND: Tensor, plan: Dispatch) -> Tensor:
    """Return the output of its expert for each pair, (N * K, D) in the order of pairs.

    Dropped pairs have zeros. In gradient mode, experts without tokens get gradients of zero.

    Args:
        experts: each an :class:`Expert`.
        x_ND: the tokens.
        plan: of these tokens and experts.
    """
    if torch.compiler.is_compiling():
        matrices = (
            [getattr(one, name).weight for one in experts] for name in ("gate", "up", "down")
        )
        return compute_experts(x_ND, plan.order, plan.ends, *matrices)
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
