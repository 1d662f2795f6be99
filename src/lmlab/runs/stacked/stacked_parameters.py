"""The weights of several models of one shape, side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StackedParameters:
    """One tensor (K, ...) for each parameter of K models that are shaped alike.

    Args:
        template: a model of that shape; its weights are not used.
        size: K.
        device: where the tensors are.

    Attributes:
        tensors: by the parameter's name; leaves, so that a backward pass leaves gradients in them.
    """

    def __init__(self, template: nn.Module, size: int, device: torch.device) -> None:
        self.tensors = {
            name: nn.Parameter(
                torch.zeros(size, *parameter.shape, dtype=parameter.dtype, device=device)
            )
            for name, parameter in template.named_parameters()
        }
        self._adopted: dict[int, list[tuple[nn.Parameter, nn.Parameter]]] = {}

    @torch.no_grad()
    def adopt(self, place: int, model: nn.Module) -> None:
        """Move a model's weights into its place; whoever holds its parameters notices nothing.

        Each parameter has a storage of its own afterwards, that lies within the stacked one, so
        that files of the weights hold these alone.
        """
        pairs = []
        for name, parameter in model.named_parameters():
            stacked = self.tensors[name]
            own = torch.from_dlpack(stacked.detach()[place])
            own.copy_(parameter)
            parameter.data = own
            pairs.append((stacked, parameter))
        self._adopted[place] = pairs

    def hand_out_gradients(self, place: int) -> None:
        """Let a model's parameters see their part of the stacked gradients."""
        for stacked, parameter in self._adopted[place]:
            assert isinstance(stacked.grad, Tensor), "a backward pass came before"
            parameter.grad = stacked.grad[place]

    def forget_gradients(self) -> None:
        """Begin an update."""
        for stacked in self.tensors.values():
            stacked.grad = None
