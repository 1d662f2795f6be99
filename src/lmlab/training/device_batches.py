"""Training batches gathered on the device, which stores all tokens of the training text."""

from __future__ import annotations

import numpy as np
import torch

from lmlab.data.batches import Batches

MAX_FREE_MEMORY_FRACTION = 0.25  # model and activations are allocated afterwards
BYTES_PER_TOKEN = 4  # torch cannot index 16-bit unsigned integers on CUDA


class DeviceBatches:
    """The batches of :class:`lmlab.data.batches.Batches` without a copy of tokens at each step.

    Each step copies one offset per sequence to the device.

    Args:
        batches: the batches on the host.
        device: receives all of their tokens.
    """

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self.batches = batches
        self.device = device
        tokens = torch.from_numpy(np.asarray(batches.tokens).astype(np.int32))
        self._tokens = tokens.to(device)
        self._offsets = torch.arange(batches.context_length + 1, device=device)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets of update number ``step``, each (B, T) int64."""
        starts = self.batches.starts(step)[self.batches.part]
        starts_B = torch.from_numpy(starts).to(self.device, non_blocking=True)
        windows = self._tokens[starts_B[:, None] + self._offsets].long()
        return windows[:, :-1], windows[:, 1:]


def fits_on_device(device: torch.device, num_tokens: int) -> bool:
    """Return whether a CUDA device has memory for this many tokens during a run."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return bool(num_tokens * BYTES_PER_TOKEN <= MAX_FREE_MEMORY_FRACTION * free)
