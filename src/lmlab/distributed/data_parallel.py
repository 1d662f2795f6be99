"""Copies of one model on several ranks: they begin equal, and every update leaves them equal."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lmlab.distributed.communicator import Communicator

Gradient = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class DataParallelGradients:
    """The gradients of a whole batch, of which each rank is given its part.

    The parts are equally large, so that the mean of their mean losses is that of the batch. The
    ranks exchange once an update, after the last micro-batch; where they divide the gradients, a
    backward pass leaves means itself.

    Args:
        gradients: leaves the gradients of a part's mean loss in the parameters; returns the loss.
        model: whose parameters they are.
        comm: that share the batch.
    """

    def __init__(self, gradients: Gradient, model: nn.Module, comm: Communicator) -> None:
        self.gradients = gradients
        self.parameters = list(model.parameters())
        self.comm = comm

    def __call__(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        """Leave the batch's gradients in the parameters; return its loss, equal on all ranks."""
        loss = self.gradients(inputs_BT, targets_BT).detach().clone()
        held = []
        if not self.comm.shards_model:
            held = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        self.comm.all_reduce_mean([loss, *held])
        return loss
