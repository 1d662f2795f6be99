"""Data parallelism: replicas of a model that start equal and stay equal after every update."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lmlab.distributed.communicator import Communicator

GradientFunction = Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]


class DataParallelGradients:
    """Computes the gradients of a batch of which each rank receives an equal shard.

    Because the shards are equal, the mean of their mean losses is the mean loss of the batch. The
    ranks reduce once per update, after the last micro-batch. Where they shard the gradients, the
    backward pass already leaves means. Saved buffers, such as running statistics of a layer of your
    own, are then those of rank 0 on every rank, as in torch's ``DistributedDataParallel``. Those
    that a layer names in ``summed_buffers``, such as the loads of experts, are added over ranks.

    Args:
        gradients: leaves the gradients of a shard's mean loss in the parameters; returns
            the loss and its terms by name.
        model: the module with these parameters.
        comm: the ranks that share the batch.
    """

    def __init__(self, gradients: GradientFunction, model: nn.Module, comm: Communicator) -> None:
        self.gradients = gradients
        self.parameters = list(model.parameters())
        self.comm = comm
        self._summed = [
            (owner, name)
            for owner in model.modules()
            for name in getattr(owner, "summed_buffers", ())
            if getattr(owner, name) is not None
        ]
        saved = model.state_dict(keep_vars=True)
        self._buffers = [
            (owner, name)
            for prefix, owner in model.named_modules()
            for name in owner._buffers
            if f"{prefix}.{name}".lstrip(".") in saved and (owner, name) not in self._summed
        ]

    def __call__(
        self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Leave the batch's gradients in the parameters; return its losses, equal on all ranks."""
        losses = self.gradients(inputs_BT, targets_BT)
        losses = {name: one.detach().clone() for name, one in losses.items()}
        gradients = []
        if not self.comm.shards_model:
            gradients = [one.grad for one in self.parameters if one.grad is not None]
        self.comm.all_reduce_mean([*losses.values(), *gradients])
        if self._buffers:  # a pass may have replaced the tensors
            self.comm.broadcast(0, [getattr(owner, name) for owner, name in self._buffers])
        if self._summed:
            self.comm.sum_tensors([getattr(owner, name) for owner, name in self._summed])
        return losses
