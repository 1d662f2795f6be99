"""What optimizers have in common whose state the ranks of a run divide among themselves."""

from __future__ import annotations

import abc
from typing import Any

import torch

from lmlab.distributed.communicator import Communicator
from lmlab.distributed.state_layout import allocate, layout_without_tensors, state_tensors


class ShardedOptimizer(abc.ABC):
    """An optimizer whose state is divided; what a process alone sees is the whole.

    Args:
        optimizer: over all parameters, in the same order on every rank; it has no state yet.
        comm: that share its work. All of them call every method but :meth:`load_state_dict`.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, comm: Communicator) -> None:
        self.optimizer, self.comm = optimizer, comm
        self._loaded: dict[str, Any] | None = None

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parameters, as of an optimizer that is not divided."""
        return self.optimizer.param_groups

    @property
    def state(self) -> dict[torch.Tensor, dict[str, Any]]:
        """What this rank keeps, by parameter."""
        return self.optimizer.state

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear all gradients."""
        self.optimizer.zero_grad(set_to_none=set_to_none)

    @abc.abstractmethod
    def step(self) -> None:
        """Take one update."""

    @abc.abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """The whole state, on rank 0."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a whole state, on rank 0; :meth:`broadcast` gives each rank its part of it."""
        self._loaded = state_dict

    def broadcast(self) -> None:
        """Give every rank its part of the state that rank 0 has taken, if it has; once."""
        loaded, self._loaded = self._loaded, None
        layout = self.comm.broadcast_from_rank0(
            lambda: None if loaded is None else layout_without_tensors(loaded)
        )
        if layout is None:
            return
        mine: dict[int, dict[str, Any]] = {}
        for index, places in layout["state"].items():
            # One parameter's at a time, so that no rank but 0 has room for the whole state.
            if loaded is None:
                one = allocate({"state": {index: places}}, torch.device("cpu"))
            else:
                one = {"state": {index: loaded["state"][index]}}
            self.comm.broadcast(0, list(state_tensors(one)))
            own = self._own_part(index, one["state"][index])
            if own is not None:
                mine[index] = own
        self.optimizer.load_state_dict(layout | {"state": mine})

    @abc.abstractmethod
    def _own_part(self, index: int, values: dict[str, Any]) -> dict[str, Any] | None:
        """What this rank keeps of a parameter's whole state; None for nothing."""
