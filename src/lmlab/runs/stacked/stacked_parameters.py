"""The weights of several models of one shape, stacked."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StackedParameters:
    """One tensor (K, ...) for each parameter of K models of the same shape.

    Args:
        template: a model of the shape; its buffers are those of all models, its weights are not
            used.
        size: K.
        device: where the tensors are.

    Attributes:
        tensors: by parameter name; leaves, whose gradients a backward pass sets.
    """

    def __init__(self, template: nn.Module, size: int, device: torch.device) -> None:
        self.tensors = {
            name: nn.Parameter(
                torch.zeros(size, *parameter.shape, dtype=parameter.dtype, device=device)
            )
            for name, parameter in template.named_parameters()
        }
        self._buffers = list(template.named_buffers())
        self._adopted: dict[int, list[tuple[nn.Parameter, nn.Parameter]]] = {}

    @torch.no_grad()
    def adopt(self, index: int, model: nn.Module) -> None:
        """Move a model's weights to ``index`` of the stack; the parameter objects stay the same.

        Each parameter gets a storage of its own within the memory of the stack, so that files of
        the weights hold no other model's.

        Raises:
            RuntimeError: a buffer differs from the template's, which all models would use.
        """
        for (name, shared), buffer in zip(self._buffers, model.buffers(), strict=True):
            if not torch.equal(shared, buffer):
                raise RuntimeError(f"the buffer {name} differs between the runs of a stack")
        pairs = []
        for name, parameter in model.named_parameters():
            stacked = self.tensors[name]
            view = torch.from_dlpack(stacked.detach()[index])
            view.copy_(parameter)
            parameter.data = view
            pairs.append((stacked, parameter))
        self._adopted[index] = pairs

    def assign_gradients(self, index: int) -> None:
        """Set the gradients of the model at ``index`` to its part of the stacked ones."""
        for stacked, parameter in self._adopted[index]:
            assert isinstance(stacked.grad, Tensor), "call this after a backward pass"
            parameter.grad = stacked.grad[index]

    def clear_gradients(self) -> None:
        """Drop the stacked gradients, at the start of an update."""
        for stacked in self.tensors.values():
            stacked.grad = None
