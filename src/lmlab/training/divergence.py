"""The rule that decides whether a run has diverged."""

from __future__ import annotations

import math

import torch

from lmlab.training.state import Progress

# Updates whose mean loss is judged. It is a constant, so that two runs that differ only in when
# they log, validate or save end in the same way at the same step.
WINDOW_STEPS = 10


class DivergenceWatch:
    """Judges the mean loss of each ten updates: 1 to 10, 11 to 20, and so on.

    A run has diverged when such a mean is not finite, or exceeds the loss of the first update by
    more than the margin. The window that the last update leaves open is judged, too. The losses are
    summed on the device, so that the host waits for it only at the end of a window.

    Args:
        progress: holds the first loss, and the sum of an open window while a run is interrupted.
        device: device of the losses.
        margin: in nats per token.
    """

    def __init__(self, progress: Progress, device: torch.device, margin: float) -> None:
        self.progress = progress
        self.margin = margin
        self._sum = torch.full((), progress.window_loss, device=device)

    def add(self, loss: torch.Tensor) -> None:
        """Add the loss of the latest update, already counted in ``progress``."""
        self._sum = self._sum + loss
        self.progress.window_steps += 1

    @property
    def window_is_full(self) -> bool:
        """Whether the latest update is the last one of its window."""
        return self.progress.step % WINDOW_STEPS == 0

    def has_diverged(self) -> bool:
        """Judge the updates of the present window, and start a new one if it is full."""
        progress = self.progress
        if progress.window_steps == 0:
            return False
        assert progress.first_loss is not None, "a window holds an update"
        mean = float(self._sum) / progress.window_steps
        if self.window_is_full:
            self._sum = torch.zeros_like(self._sum)
            progress.window_steps = 0
        return not (math.isfinite(mean) and mean <= progress.first_loss + self.margin)

    def store(self) -> None:
        """Copy the sum of the open window into ``progress``, for a checkpoint."""
        self.progress.window_loss = float(self._sum)
