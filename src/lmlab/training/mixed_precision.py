"""Mixed precision: bfloat16 copies of a model's matrices next to its float32 master weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from lmlab.nn.transformer import Transformer


class Bf16Weights:
    """A model that multiplies in bfloat16 and is updated in float32: Micikevicius et al. 2018, 3.1.

    The weights and biases of its linear layers are bfloat16 copies. It shares everything else
    (embeddings, learned positions, gains, tables) with the master model: a look-up is no faster in
    bfloat16, and a sum of many gradients of a frequent token would lose the small ones. It also
    shares linear layers that declare ``keeps_float32``, such as the router of experts.

    Args:
        master: the float32 model, which is updated and saved.

    Attributes:
        model: computes with the weights of the latest :meth:`copy_from_master`.
    """

    def __init__(self, master: Transformer) -> None:
        shared: dict[int, Any] = {id(tensor): tensor for tensor in _tensors(master)}
        self.model: Transformer = copy.deepcopy(master, shared)
        self._layers_with_buffers: list[tuple[nn.Module, nn.Module]] = []
        self._masters: list[torch.Tensor] = []
        self._copies: list[torch.Tensor] = []
        for layer, source in zip(self.model.modules(), master.modules(), strict=True):
            if layer._buffers:
                self._layers_with_buffers.append((layer, source))
            if getattr(layer, "keeps_float32", False):
                continue
            if isinstance(layer, nn.Linear) and isinstance(source, nn.Linear):
                for name, master_weight in source.named_parameters(recurse=False):  # and a bias
                    setattr(layer, name, nn.Parameter(master_weight.detach().to(torch.bfloat16)))
                    self._copies.append(getattr(layer, name))
                    self._masters.append(master_weight)

    @torch.no_grad()
    def copy_from_master(self) -> None:
        """Round the current float32 weights into the copies."""
        torch._foreach_copy_(self._copies, self._masters)

    @torch.no_grad()
    def add_gradients_to_master(self) -> None:
        """Move the gradients of the copies to the float32 weights, adding to theirs.

        A layer may have assigned a new tensor to a buffer, which the master then shares again.
        """
        for layer, source in self._layers_with_buffers:
            source._buffers.update(layer._buffers)
        new, sources = [], []
        for master, weight in zip(self._masters, self._copies, strict=True):
            if weight.grad is None:
                continue
            if master.grad is None:
                master.grad = torch.empty_like(master)
                new.append(master.grad)
                sources.append(weight.grad)
            else:
                master.grad += weight.grad
            weight.grad = None
        if new:
            torch._foreach_copy_(new, sources)


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]
