"""Exponential moving average of the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class WeightAverage:
    """The average of a model's parameters over its updates, in the dtype of the parameters.

    After each update ``average = decay * average + (1 - decay) * weights``, from the initial
    weights on: the exponential form of Polyak and Juditsky 1992. Buffers are not averaged.

    Args:
        model: the model whose weights are averaged.
        decay: between 0 and 1; the average covers about 1 / (1 - decay) updates.

    Attributes:
        tensors: the average of each parameter, by its first name in alphabetical order.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        names: dict[int, str] = {}
        for name, parameter in sorted(model.named_parameters(remove_duplicate=False)):
            names.setdefault(id(parameter), name)
        self.tensors = {names[id(one)]: one.detach().clone() for one in model.parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Add the current weights to the average."""
        torch._foreach_lerp_(self._averages(), list(self.model.parameters()), 1 - self.decay)

    @contextlib.contextmanager
    def in_model(self) -> Iterator[None]:
        """Put the average into the model inside; restore the weights bit for bit afterwards."""
        weights = [parameter.detach() for parameter in self.model.parameters()]
        kept = [weight.clone() for weight in weights]
        torch._foreach_copy_(weights, self._averages())
        try:
            yield
        finally:
            torch._foreach_copy_(weights, kept)

    def _averages(self) -> list[torch.Tensor]:
        return list(self.tensors.values())
