"""Mean loss and throughput between two recorded rows."""

from __future__ import annotations

import time

import torch

from lmlab.training.state import Progress


class IntervalMeter:
    """Counts updates in ``progress`` and sums their losses on the device.

    The host waits for the device only when a row, an evaluation or a checkpoint is due.

    Args:
        progress: updated in place.
        device: device of the losses.
    """

    def __init__(self, progress: Progress, device: torch.device) -> None:
        self.progress = progress
        self.loss_sum = torch.full((), progress.interval_loss, device=device)
        self._start_tokens, self._start_seconds = progress.tokens, progress.seconds

    def add(self, loss: torch.Tensor, num_tokens: int, started: float) -> None:
        """Count one update that began at ``started`` on the performance counter."""
        progress = self.progress
        self.loss_sum = self.loss_sum + loss
        if progress.first_loss is None:
            progress.first_loss = float(loss)
        progress.step += 1
        progress.tokens += num_tokens
        progress.interval_steps += 1
        progress.seconds += time.perf_counter() - started

    def read(self) -> tuple[float, float]:
        """Return mean loss and tokens per second of the interval, and start the next one."""
        self.synchronize()
        progress = self.progress
        loss = float(self.loss_sum) / progress.interval_steps
        seconds = max(progress.seconds - self._start_seconds, 1e-9)
        tokens_per_second = (progress.tokens - self._start_tokens) / seconds
        self.loss_sum = torch.zeros_like(self.loss_sum)
        self._start_tokens, self._start_seconds = progress.tokens, progress.seconds
        progress.interval_steps = 0
        return loss, tokens_per_second

    def synchronize(self) -> None:
        """Wait for the updates that a GPU has queued, and count the wait as training time."""
        started = time.perf_counter()
        self.loss_sum.item()
        self.progress.seconds += time.perf_counter() - started

    def store(self) -> None:
        """Copy the sum of losses into ``progress``, for a checkpoint."""
        self.synchronize()
        self.progress.interval_loss = float(self.loss_sum)
