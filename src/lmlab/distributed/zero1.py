"""An optimizer whose state is divided among the ranks of a run."""

from __future__ import annotations

from typing import Any

import torch

from lmlab.distributed.communicator import Communicator
from lmlab.distributed.sharded_optimizer import ShardedOptimizer
from lmlab.distributed.state_layout import allocate, layout_without_tensors, state_tensors


class Zero1Optimizer(ShardedOptimizer):
    """Each parameter is updated by one rank, which alone keeps its state: Rajbhandari et al. 2020.

    Stage 1 of ZeRO (section 5.1), with whole parameters for parts, so that an optimizer may look
    at all of a matrix. The update is the given optimizer's own, so that weights are those of
    optimizers that are not divided, bit for bit.

    Parameters go to the ranks largest first, each to the one that has the least so far.

    Args:
        optimizer: of all parameters.
        comm: that share its work.

    Attributes:
        owners: the rank of each parameter, in the optimizer's order.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, comm: Communicator) -> None:
        super().__init__(optimizer, comm)
        self.parameters = [one for group in optimizer.param_groups for one in group["params"]]
        self.owners = assign_owners([one.numel() for one in self.parameters], comm.size)

    def step(self) -> None:
        """Update the parameters that are this rank's, and take those of the others from them.

        The gradients of theirs are dropped.
        """
        for parameter, owner in zip(self.parameters, self.owners, strict=True):
            if owner != self.comm.rank:
                parameter.grad = None
        self.optimizer.step()
        for rank in range(self.comm.size):
            self.comm.broadcast(rank, self._owned_by(rank))

    def state_dict(self) -> dict[str, Any]:
        """The whole state, on rank 0 that of all parameters, those of other ranks on the host.

        On the other ranks it is that of their own parameters.
        """
        own = self.optimizer.state_dict()
        layouts = self.comm.all_gather(layout_without_tensors(own))
        state = dict(own["state"])
        device = self.parameters[0].device
        for rank, layout in enumerate(layouts):
            for index in layout["state"] if rank else ():
                # One parameter's at a time, so that no device holds the whole state.
                part = {"state": {index: layout["state"][index]}}
                sent = {"state": {index: own["state"][index]}} if rank == self.comm.rank else None
                part = allocate(part, device) if sent is None else sent
                self.comm.broadcast(rank, list(state_tensors(part)))
                if self.comm.is_rank0:
                    state[index] = {key: _on_host(one) for key, one in part["state"][index].items()}
        return own | {"state": dict(sorted(state.items()))}

    def _own_part(self, index: int, values: dict[str, Any]) -> dict[str, Any] | None:
        return values if self.owners[index] == self.comm.rank else None

    def _owned_by(self, rank: int) -> list[torch.Tensor]:
        pairs = zip(self.parameters, self.owners, strict=True)
        return [parameter for parameter, owner in pairs if owner == rank]


def assign_owners(sizes: list[int], num_ranks: int) -> list[int]:
    """The rank of each part: largest first, to the first of those ranks that have the least."""
    held = [0] * num_ranks
    owners = [0] * len(sizes)
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        owners[index] = held.index(min(held))
        held[owners[index]] += sizes[index]
    return owners


def _on_host(value: Any) -> Any:
    return value.to("cpu") if isinstance(value, torch.Tensor) else value
