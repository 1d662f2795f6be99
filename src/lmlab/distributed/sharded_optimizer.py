"""The common part of optimizers whose state the ranks of a run shard."""

from __future__ import annotations

import abc
from typing import Any

import torch

from lmlab.distributed.communicator import Communicator
from lmlab.distributed.exact_load import load_exactly
from lmlab.distributed.state_layout import allocate, layout_without_tensors, state_tensors


class ShardedOptimizer(abc.ABC):
    """An optimizer with sharded state, whose state dict is that of a single process.

    Args:
        optimizer: over all parameters, in the same order on every rank, still without state.
        comm: the ranks that shard its state. All of them call every method, except that only
            rank 0 may call :meth:`load_state_dict`.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, comm: Communicator) -> None:
        self.optimizer, self.comm = optimizer, comm
        self._loaded: dict[str, Any] | None = None

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parameters, as those of an unsharded optimizer."""
        return self.optimizer.param_groups

    @property
    def state(self) -> dict[torch.Tensor, dict[str, Any]]:
        """This rank's shard of the state, by parameter."""
        return self.optimizer.state

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear all gradients."""
        self.optimizer.zero_grad(set_to_none=set_to_none)

    @abc.abstractmethod
    def step(self) -> None:
        """Run one update."""

    def train(self) -> None:
        """Put an optimizer that has modes in training mode; see :mod:`lmlab.optim.modes`."""
        self._modal.train()

    def eval(self) -> None:
        """Put it in evaluation mode; all ranks then hold the weights that it evaluates."""
        self._modal.eval()

    @property
    def _modal(self) -> Any:
        return self.optimizer

    @abc.abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return the full state on rank 0."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Accept a full state on rank 0; :meth:`broadcast` then gives each rank its shard."""
        self._loaded = state_dict

    def broadcast(self) -> None:
        """Give each rank its shard of the state loaded on rank 0, if one was loaded."""
        loaded, self._loaded = self._loaded, None
        layout = self.comm.broadcast_from_rank0(
            lambda: None if loaded is None else layout_without_tensors(loaded)
        )
        if layout is None:
            return
        shards: dict[Any, Any] = {}
        for index, specs in layout["state"].items():
            # One parameter at a time, so that only rank 0 needs memory for the full state.
            if loaded is None:
                one = allocate({"state": {index: specs}}, torch.device("cpu"))
            else:
                one = {"state": {index: loaded["state"][index]}}
            self.comm.broadcast(0, list(state_tensors(one)))
            values = one["state"][index]
            if not isinstance(index, int):
                shards[index] = values
            elif (shard := self._shard(index, values)) is not None:
                shards[index] = shard
        load_exactly(self.optimizer, layout | {"state": shards})

    @abc.abstractmethod
    def _shard(self, index: int, values: dict[str, Any]) -> dict[str, Any] | None:
        """Return this rank's shard of a parameter's full state; None if it has none."""


def split_state(state: dict[Any, Any]) -> tuple[dict[int, dict[str, Any]], dict[Any, Any]]:
    """Split the state of a state dict into that of parameters, by index, and any other."""
    by_index = {key: values for key, values in state.items() if isinstance(key, int)}
    return by_index, {key: value for key, value in state.items() if key not in by_index}
