"""All experts of a layer as one operation of torch, for compiled code.

How many rows each expert has depends on the data, and a compiler would stop there. It takes this
operation as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@torch.library.custom_op("lmlab::experts", mutates_args=())
def _experts(
    x_ND: Tensor,
    order: Tensor,
    ends: Tensor,
    gates: Sequence[Tensor],
    ups: Sequence[Tensor],
    downs: Sequence[Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return outputs (P, D) in the order of pairs, and gates and ups (P, F) in that of experts."""
    num_pairs, num_choices = len(order), len(order) // len(x_ND)
    output = x_ND.new_zeros(num_pairs, x_ND.shape[1])
    gate = x_ND.new_zeros(num_pairs, len(gates[0]))
    up = torch.zeros_like(gate)
    for expert, part in _parts(ends):
        pairs = order[part]
        rows = x_ND[pairs // num_choices]
        gate[part] = rows @ gates[expert].T
        up[part] = rows @ ups[expert].T
        output[pairs] = (F.silu(gate[part]) * up[part]) @ downs[expert].T
    return output, gate, up


@_experts.register_fake
def _(
    x_ND: Tensor,
    order: Tensor,
    ends: Tensor,
    gates: Sequence[Tensor],
    ups: Sequence[Tensor],
    downs: Sequence[Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    hidden = (len(order), len(gates[0]))
    output = x_ND.new_empty(len(order), x_ND.shape[1])
    return output, x_ND.new_empty(hidden), x_ND.new_empty(hidden)


@torch.library.custom_op("lmlab::experts_backward", mutates_args=())
def _experts_backward(
    gradient: Tensor,
    x_ND: Tensor,
    order: Tensor,
    ends: Tensor,
    gate: Tensor,
    up: Tensor,
    gates: Sequence[Tensor],
    ups: Sequence[Tensor],
    downs: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    """Return the gradients of the tokens and of the matrices of all experts."""
    num_tokens, width = x_ND.shape
    num_choices = len(order) // num_tokens
    of_pairs = x_ND.new_zeros(len(order), width)
    of_gates, of_ups, of_downs = (
        [torch.zeros_like(one) for one in matrices] for matrices in (gates, ups, downs)
    )
    for expert, part in _parts(ends):
        pairs = order[part]
        rows, of_output = x_ND[pairs // num_choices], gradient[pairs]
        sigmoid = gate[part].sigmoid()
        silu = gate[part] * sigmoid
        of_hidden = of_output @ downs[expert]
        of_downs[expert] = of_output.T @ (silu * up[part])
        of_up = of_hidden * silu
        of_gate = of_hidden * up[part] * (sigmoid + silu * (1 - sigmoid))
        of_gates[expert], of_ups[expert] = of_gate.T @ rows, of_up.T @ rows
        of_pairs[pairs] = of_gate @ gates[expert] + of_up @ ups[expert]
    of_x = of_pairs.view(num_tokens, num_choices, width).sum(1)
    return of_x, of_gates, of_ups, of_downs


@_experts_backward.register_fake
def _(
    gradient: Tensor,
    x_ND: Tensor,
    order: Tensor,
    ends: Tensor,
    gate: Tensor,
    up: Tensor,
    gates: Sequence[Tensor],
    ups: Sequence[Tensor],
    downs: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    of_gates, of_ups, of_downs = (
        [torch.empty_like(one) for one in matrices] for matrices in (gates, ups, downs)
    )
    return torch.empty_like(x_ND), of_gates, of_ups, of_downs


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x_ND, order, ends, gates, ups, downs = inputs
    _, gate, up = output
    ctx.num_experts = len(gates)
    ctx.save_for_backward(x_ND, order, ends, gate, up, *gates, *ups, *downs)


def _backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Any, ...]:
    x_ND, order, ends, gate, up, *matrices = ctx.saved_tensors
    number = ctx.num_experts
    gates, ups, downs = matrices[:number], matrices[number : 2 * number], matrices[2 * number :]
    of_x, *of_matrices = _experts_backward(
        gradient.contiguous(), x_ND, order, ends, gate, up, gates, ups, downs
    )
    return of_x, None, None, *of_matrices


_experts.register_autograd(_backward, setup_context=_setup_context)


def _parts(ends: Tensor) -> Iterator[tuple[int, slice]]:
    """Yield each expert that has rows, and which of the sorted pairs are its own."""
    start = 0
    for expert, end in enumerate(ends.tolist()):  # waits for a GPU
        if end > start:
            yield expert, slice(start, end)
        start = end


def compute_experts(
    x_ND: Tensor,
    order: Tensor,
    ends: Tensor,
    gates: Sequence[Tensor],
    ups: Sequence[Tensor],
    downs: Sequence[Tensor],
) -> Tensor:
    """Return the SwiGLU of its expert for each pair (N * K, D); zeros for dropped pairs.

    Args:
        x_ND: tokens.
        order: see :class:`lmlab.nn.expert_dispatch.Dispatch`.
        ends: see there.
        gates: matrix (F, D) of each expert.
        ups: matrix (F, D) of each expert.
        downs: matrix (D, F) of each expert.
    """
    output: Tensor = _experts(x_ND, order, ends, gates, ups, downs)[0]
    return output
