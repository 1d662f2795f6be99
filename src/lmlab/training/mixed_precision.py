"""A bfloat16 copy of a model's matrices, to compute with, beside the float32 weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from lmlab.nn.transformer import Transformer


class Bf16Weights:
    """A model that multiplies in bfloat16 and learns in float32 (Micikevicius et al. 2018, 3.1).

    The weights of its linear maps are copies; everything else (embeddings, learned positions,
    gains, tables) is the given model's own, since a look-up is no faster in bfloat16 and the sum of
    a frequent token's gradients would lose what is small.

    Args:
        masters: the float32 model; it stays the one that is updated and saved.

    Attributes:
        model: computes with the weights of the last :meth:`copy_from_master`.
    """

    def __init__(self, masters: Transformer) -> None:
        kept: dict[int, Any] = {id(tensor): tensor for tensor in _tensors(masters)}
        self.model: Transformer = copy.deepcopy(masters, kept)
        self._masters: list[torch.Tensor] = []
        self._copies: list[torch.Tensor] = []
        for own, theirs in zip(self.model.modules(), masters.modules(), strict=True):
            if isinstance(own, nn.Linear) and isinstance(theirs, nn.Linear):
                own.weight = nn.Parameter(theirs.weight.detach().to(torch.bfloat16))
                self._copies.append(own.weight)
                self._masters.append(theirs.weight)

    @torch.no_grad()
    def copy_from_master(self) -> None:
        """Round the float32 weights as they now are."""
        torch._foreach_copy_(self._copies, self._masters)

    @torch.no_grad()
    def add_gradients_to_master(self) -> None:
        """Add the copies' gradients to those of the float32 weights, and clear them."""
        fresh, given = [], []
        for master, own in zip(self._masters, self._copies, strict=True):
            if own.grad is None:
                continue
            if master.grad is None:
                master.grad = torch.empty_like(master)
                fresh.append(master.grad)
                given.append(own.grad)
            else:
                master.grad += own.grad
            own.grad = None
        if fresh:
            torch._foreach_copy_(fresh, given)


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]
