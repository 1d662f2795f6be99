"""The gradients of one update: the forward and backward passes over its batch."""

from __future__ import annotations

import torch

from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import Objective


class GradientAccumulator:
    """Accumulates a batch's gradients in the parameters, a micro-batch at a time.

    Args:
        objective: called with inputs and targets for their mean loss.
        micro_batch_size: sequences a forward pass; the batch is a multiple of it.
        working: the copy that ``objective`` computes with, whose gradients go to the weights
            that it was copied from; None where it computes with those themselves.
    """

    def __init__(
        self, objective: Objective, *, micro_batch_size: int, working: Bf16Weights | None = None
    ) -> None:
        self.objective = objective
        self.micro_batch_size = micro_batch_size
        self.working = working

    def __call__(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        """Add the gradients of the batch's mean loss; return that loss, left on the device."""
        if self.working is not None:
            self.working.copy_from_master()
        total = torch.zeros((), device=inputs_BT.device)
        for inputs, targets in zip(
            inputs_BT.split(self.micro_batch_size),
            targets_BT.split(self.micro_batch_size),
            strict=True,
        ):
            loss = self.objective(inputs, targets) * (len(inputs) / len(inputs_BT))
            loss.backward()
            if self.working is not None:
                self.working.add_gradients_to_master()
            total += loss.detach()
        return total
