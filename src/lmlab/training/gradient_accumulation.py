"""Gradient accumulation: the gradients of a batch, one micro-batch at a time."""

from __future__ import annotations

import torch

from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import LOSS, Objective, add_losses


class GradientAccumulator:
    """Accumulates the gradients of a batch in the parameters.

    Args:
        objective: maps inputs and targets to their mean losses.
        micro_batch_size: sequences per forward pass; divides the batch size.
        bf16_weights: the weights that ``objective`` computes with if they are bfloat16 copies;
            their gradients are added to those of the float32 weights.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        micro_batch_size: int,
        bf16_weights: Bf16Weights | None = None,
    ) -> None:
        self.objective = objective
        self.micro_batch_size = micro_batch_size
        self.bf16_weights = bf16_weights

    def __call__(
        self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Add the gradients of the batch's mean loss.

        Returns:
            What :meth:`lmlab.training.objective.Losses.recorded` names, as means over the batch,
            left on the device.
        """
        if self.bf16_weights is not None:
            self.bf16_weights.copy_from_master()
        totals = {LOSS: torch.zeros((), device=inputs_BT.device)}
        for inputs, targets in zip(
            inputs_BT.split(self.micro_batch_size),
            targets_BT.split(self.micro_batch_size),
            strict=True,
        ):
            losses, share = self.objective(inputs, targets), len(inputs) / len(inputs_BT)
            (losses.total() * share).backward()
            if self.bf16_weights is not None:
                self.bf16_weights.add_gradients_to_master()
            add_losses(totals, losses.recorded(), share)
        return totals
