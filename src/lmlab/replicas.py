"""Copies of one model on several ranks: they begin equal, and every update leaves them equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from lmlab.ranks.ranks import Ranks
from lmlab.train_state import TrainState

Gradient = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class MeanGradients:
    """The gradients of a whole batch, of which each rank is given its part.

    The parts are equally large, so that the mean of their mean losses is that of the batch. The
    ranks exchange once an update, after the last micro-batch.

    Args:
        gradients: leaves the gradients of a part's mean loss in the parameters; returns the loss.
        model: whose parameters they are.
        ranks: that share the batch.
    """

    def __init__(self, gradients: Gradient, model: nn.Module, ranks: Ranks) -> None:
        self.gradients = gradients
        self.parameters = list(model.parameters())
        self.ranks = ranks

    def __call__(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        """Leave the batch's gradients in the parameters; return its loss, equal on all ranks."""
        loss = self.gradients(inputs_BT, targets_BT).detach().clone()
        held = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        self.ranks.average([loss, *held])
        return loss


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a tensor stands in an optimizer's state, and what room it needs."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device_type: str


def spread_state(state: TrainState, ranks: Ranks) -> None:
    """Give every rank the weights, optimizer state and progress of rank 0."""
    own = state.optimizer.state_dict()
    layout, state.progress = ranks.from_writer(lambda: (_layout(own), state.progress))
    device = next(state.model.parameters()).device
    received = own if ranks.is_writer else _allocate(layout, device)
    weights = {tensor.data_ptr(): tensor for tensor in state.model.state_dict().values()}
    moments = [
        value
        for values in received["state"].values()
        for value in values.values()
        if isinstance(value, torch.Tensor)
    ]
    ranks.copy_from_writer([*weights.values(), *moments])
    if not ranks.is_writer:
        state.optimizer.load_state_dict(received)


def _layout(saved: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's saved state with the room of each tensor in its place."""

    def place(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return _Place(tuple(value.shape), value.dtype, value.device.type)

    state = {
        index: {key: place(value) for key, value in values.items()}
        for index, values in saved["state"].items()
    }
    return saved | {"state": state}


def _allocate(layout: dict[str, Any], device: torch.device) -> dict[str, Any]:
    def room(value: Any) -> Any:
        if not isinstance(value, _Place):
            return value
        here = torch.device("cpu") if value.device_type == "cpu" else device
        return torch.empty(value.shape, dtype=value.dtype, device=here)

    state = {
        index: {key: room(value) for key, value in values.items()}
        for index, values in layout["state"].items()
    }
    return layout | {"state": state}
