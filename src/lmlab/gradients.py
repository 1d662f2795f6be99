"""The gradients of one update: the forward and backward passes over its batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch

from lmlab.nn.loss import cross_entropy


class Gradients:
    """Accumulates a batch's gradients in the parameters, a micro-batch at a time.

    Args:
        forward: what is called for the logits: the model itself, or its compiled form.
        micro_batch_size: sequences a forward pass; the batch is a multiple of it.
        autocast: makes the context that forward passes run in.
    """

    def __init__(
        self,
        forward: Callable[[torch.Tensor], torch.Tensor],
        *,
        micro_batch_size: int,
        autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        self.forward = forward
        self.micro_batch_size = micro_batch_size
        self.autocast = autocast

    def __call__(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        """Add the gradients of the batch's mean loss; return that loss, left on the device."""
        total = torch.zeros((), device=inputs_BT.device)
        for inputs, targets in zip(
            inputs_BT.split(self.micro_batch_size),
            targets_BT.split(self.micro_batch_size),
            strict=True,
        ):
            with self.autocast():
                logits = self.forward(inputs)
            loss = cross_entropy(logits, targets) * (len(inputs) / len(inputs_BT))
            loss.backward()
            total += loss.detach()
        return total
