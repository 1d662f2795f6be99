"""Fully sharded data parallelism: ranks shard weights, gradients and optimizer state.

Torch's ``fully_shard`` (FSDP2) does the sharding: Zhao et al. 2023; stage 3 of ZeRO, Rajbhandari
et al. 2020. Each rank stores a shard of every tensor. The weights of a block are gathered when its
passes need them; its gradients are averaged and sharded as soon as the backward pass leaves it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from lmlab.distributed.communicator import Communicator
from lmlab.distributed.exact_load import full_state
from lmlab.distributed.full_tensor import full_tensor
from lmlab.distributed.sharded_optimizer import ShardedOptimizer, split_state
from lmlab.nn.transformer import Transformer


class FSDPOptimizer(ShardedOptimizer):
    """The optimizer of a model that :meth:`broadcast` shards; updates this rank's shards.

    Before that call the model is unsharded, so that weights are initialized, loaded and checked as
    in one process.

    Args:
        model: the model to be sharded, with its full weights.
        build: builds the optimizer over the parameters that the model has at the time. Its update
            must be elementwise, as AdamW's is, because it sees shards of the matrices.
        comm: the ranks that shard the model.
    """

    def __init__(
        self, model: Transformer, build: Callable[[], torch.optim.Optimizer], comm: Communicator
    ) -> None:
        super().__init__(build(), comm)
        self.model, self.build = model, build

    def step(self) -> None:
        """Update this rank's shard of each parameter."""
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the full state in host memory on rank 0; elsewhere without parameters' tensors."""
        local = full_state(self.optimizer)
        by_index, others = split_state(local["state"])
        state: dict[int, dict[str, Any]] = {}
        for index, values in by_index.items():
            state[index] = {}
            for key, value in values.items():
                full = full_tensor(value) if isinstance(value, torch.Tensor) else value
                if self.comm.is_rank0:
                    state[index][key] = full.cpu() if isinstance(full, torch.Tensor) else full
        return local | {"state": state | others}

    def broadcast(self) -> None:
        """Shard the model, whose weights all ranks have, and the state loaded on rank 0."""
        fully_shard(self.model, self.comm)
        self.optimizer = self.build()
        super().broadcast()

    def _shard(self, index: int, values: dict[str, Any]) -> dict[str, Any]:
        parameters = [one for group in self.param_groups for one in group["params"]]
        return {key: _shard_like(parameters[index], value) for key, value in values.items()}


def fully_shard(model: Transformer, comm: Communicator) -> None:
    """Shard each block and the rest of the model among the ranks, which all call this."""
    from torch.distributed import fsdp

    mesh = comm.device_mesh()
    for block in model.blocks:
        fsdp.fully_shard(block, mesh=mesh)
    fsdp.fully_shard(model, mesh=mesh)
    fsdp.register_fsdp_forward_method(model, "hidden")  # called by the chunked loss


@contextlib.contextmanager
def unsharded(model: nn.Module) -> Iterator[None]:
    """Give every rank the full weights inside, so that its passes need no other rank.

    All ranks enter and leave together. A model that is not sharded stays as it is.
    """
    modules: list[Any] = [module for module in model.modules() if hasattr(module, "unshard")]
    for module in modules:
        module.unshard()
        module.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for module in modules:
            module.set_reshard_after_forward(module is not model, recurse=False)
            module.reshard()


def _shard_like(parameter: torch.Tensor, value: Any) -> Any:
    """Return this rank's shard of a tensor of the parameter's shape; other values unchanged."""
    if not isinstance(value, torch.Tensor) or value.shape != parameter.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(parameter, DTensor)
    return distribute_tensor(
        value.to(parameter.device),
        parameter.device_mesh,
        parameter.placements,
        src_data_rank=None,  # every rank has the full tensor already
    )
