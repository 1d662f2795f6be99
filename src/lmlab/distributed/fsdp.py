"""A model whose weights, gradients and optimizer state are divided among the ranks of a run.

Torch's ``fully_shard`` (FSDP2) does it: Zhao et al. 2023; stage 3 of ZeRO, Rajbhandari et al. 2020.
Each rank keeps a part of every tensor. The weights of a block are put together when its passes
need them, and its gradients are averaged and divided as the backward pass leaves it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from lmlab.distributed.communicator import Communicator
from lmlab.distributed.full_tensor import full_tensor
from lmlab.distributed.sharded_optimizer import ShardedOptimizer
from lmlab.nn.transformer import Transformer


class FSDPOptimizer(ShardedOptimizer):
    """The optimizer of a model that :meth:`broadcast` divides; it updates this rank's parts.

    Until then the model is whole, so that weights are drawn, loaded and checked as in one process.

    Args:
        model: to be divided, with its whole weights.
        build: makes the optimizer over the parameters that the model then has. Its update must be
            one of each number by itself, as AdamW's is: it sees parts of the matrices only.
        comm: that divide the model.
    """

    def __init__(
        self, model: Transformer, build: Callable[[], torch.optim.Optimizer], comm: Communicator
    ) -> None:
        super().__init__(build(), comm)
        self.model, self.build = model, build

    def step(self) -> None:
        """Update this rank's part of each parameter."""
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """The whole state, on rank 0 in host memory; elsewhere without tensors of parameters."""
        saved = self.optimizer.state_dict()
        state: dict[int, dict[str, Any]] = {}
        for index, values in saved["state"].items():
            state[index] = {}
            for key, value in values.items():
                found = full_tensor(value) if isinstance(value, torch.Tensor) else value
                if self.comm.is_rank0:
                    state[index][key] = found.cpu() if isinstance(found, torch.Tensor) else found
        return saved | {"state": state}

    def broadcast(self) -> None:
        """Divide the model, whose weights are equal on all ranks, and the state that rank 0 has."""
        fully_shard(self.model, self.comm)
        self.optimizer = self.build()
        super().broadcast()

    def _own_part(self, index: int, values: dict[str, Any]) -> dict[str, Any]:
        parameters = [one for group in self.param_groups for one in group["params"]]
        return {key: _divide(value, parameters[index]) for key, value in values.items()}


def fully_shard(model: Transformer, comm: Communicator) -> None:
    """Divide each block, and the rest of the model, among the ranks that all call this."""
    from torch.distributed import fsdp

    mesh = comm.device_mesh()
    for block in model.blocks:
        fsdp.fully_shard(block, mesh=mesh)
    fsdp.fully_shard(model, mesh=mesh)
    fsdp.register_fsdp_forward_method(model, "hidden")  # which a loss in chunks calls


@contextlib.contextmanager
def unsharded(model: nn.Module) -> Iterator[None]:
    """Give every rank the whole weights inside; then its passes need no other rank.

    All ranks enter and leave together. Nothing happens to a model that is not divided.
    """
    parts: list[Any] = [part for part in model.modules() if hasattr(part, "unshard")]
    for part in parts:
        part.unshard()
        part.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(part is not model, recurse=False)
            part.reshard()


def _divide(value: Any, parameter: torch.Tensor) -> Any:
    """This rank's part of a tensor that is divided as a parameter is; others as they are."""
    if not isinstance(value, torch.Tensor) or value.shape != parameter.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(parameter, DTensor)
    return distribute_tensor(
        value.to(parameter.device),
        parameter.device_mesh,
        parameter.placements,
        src_data_rank=None,  # every rank has it already
    )
