"""Training batches gathered on the device, where the whole text lies as tokens."""

from __future__ import annotations

import numpy as np
import torch

from lmlab.data.batches import Batches

SHARE_OF_FREE_MEMORY = 0.25  # that tokens may take; model and activations come afterwards
BYTES_A_TOKEN = 4  # torch indexes no 16-bit unsigned numbers on CUDA


class DeviceBatches:
    """The same batches as :class:`lmlab.data.batches.Batches`, without a copy at each step.

    Only the windows' offsets go to the device, a number a sequence.

    Args:
        batches: on the host.
        device: that gets all of their tokens.
    """

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self.batches = batches
        self.device = device
        tokens = torch.from_numpy(np.asarray(batches.tokens).astype(np.int32))
        self._tokens = tokens.to(device)
        self._offsets = torch.arange(batches.context_length + 1, device=device)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets of update number ``step``, each (B, T) int64."""
        own = self.batches.starts(step)[self.batches.part]
        starts = torch.from_numpy(own).to(self.device, non_blocking=True)
        windows = self._tokens[starts[:, None] + self._offsets].long()
        return windows[:, :-1], windows[:, 1:]


def fits_on_device(device: torch.device, num_tokens: int) -> bool:
    """Whether so many tokens may lie on a CUDA device for a whole run."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return bool(num_tokens * BYTES_A_TOKEN <= SHARE_OF_FREE_MEMORY * free)
