"""An optimizer whose state is sharded by parameter: stage 1 of ZeRO."""

from __future__ import annotations

from typing import Any

import torch

from lmlab.distributed.communicator import Communicator
from lmlab.distributed.exact_load import full_state
from lmlab.distributed.sharded_optimizer import ShardedOptimizer, split_state
from lmlab.distributed.state_layout import allocate, layout_without_tensors, state_tensors


class Zero1Optimizer(ShardedOptimizer):
    """One rank updates each parameter and alone stores its state: Rajbhandari et al. 2020.

    Stage 1 of ZeRO (section 5.1), but with whole parameters as shards, so that an optimizer may
    use all of a matrix. The given optimizer computes the update, so the weights are bit-identical
    to those of an unsharded optimizer.

    Parameters are assigned in order of size, the largest first, to the rank with the least.

    Args:
        optimizer: over all parameters.
        comm: the ranks that shard its state.

    Attributes:
        owners: rank of each parameter, in the optimizer's order.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, comm: Communicator) -> None:
        super().__init__(optimizer, comm)
        self.parameters = [one for group in optimizer.param_groups for one in group["params"]]
        self.owners = assign_owners([one.numel() for one in self.parameters], comm.size)

    def step(self) -> None:
        """Update this rank's parameters and receive the other ranks' from them.

        The gradients of the other ranks' parameters are dropped.
        """
        for parameter, owner in zip(self.parameters, self.owners, strict=True):
            if owner != self.comm.rank:
                parameter.grad = None
        self.optimizer.step()
        self._exchange_weights()

    def eval(self) -> None:
        """Compute the weights to evaluate of this rank's parameters, and receive the others'.

        Only the owner of a parameter has the state that they follow from.
        """
        super().eval()
        self._exchange_weights()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parameters on rank 0, the other ranks' part in host memory.

        Other ranks return the state of their own parameters. State that belongs to no parameter is
        this rank's.
        """
        local = full_state(self.optimizer)
        layouts = self.comm.all_gather(layout_without_tensors(local))
        state, others = split_state(local["state"])
        device = self.parameters[0].device
        for rank, layout in enumerate(layouts):
            for index in split_state(layout["state"])[0] if rank else ():
                if self.owners[index] != rank:  # an optimizer may note other parameters, too
                    continue
                # One parameter at a time, so that no device stores the full state.
                part = {"state": {index: layout["state"][index]}}
                is_sender = rank == self.comm.rank
                sent = {"state": {index: local["state"][index]}} if is_sender else None
                part = allocate(part, device) if sent is None else sent
                self.comm.broadcast(rank, list(state_tensors(part)))
                if self.comm.is_rank0:
                    state[index] = _to_host(part["state"][index])
        return local | {"state": dict(sorted(state.items())) | others}

    def _shard(self, index: int, values: dict[str, Any]) -> dict[str, Any] | None:
        return values if self.owners[index] == self.comm.rank else None

    def _exchange_weights(self) -> None:
        for rank in range(self.comm.size):
            self.comm.broadcast(rank, self._owned_by(rank))

    def _owned_by(self, rank: int) -> list[torch.Tensor]:
        pairs = zip(self.parameters, self.owners, strict=True)
        return [parameter for parameter, owner in pairs if owner == rank]


def assign_owners(sizes: list[int], num_ranks: int) -> list[int]:
    """Return the rank of each parameter: largest first, to the first rank with the least."""
    loads = [0] * num_ranks
    owners = [0] * len(sizes)
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        owners[index] = loads.index(min(loads))
        loads[owners[index]] += sizes[index]
    return owners


def _to_host(value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)(map(_to_host, value))
    if isinstance(value, dict):
        return {key: _to_host(one) for key, one in value.items()}
    return value.to("cpu") if isinstance(value, torch.Tensor) else value
