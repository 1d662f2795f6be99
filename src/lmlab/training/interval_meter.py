"""Mean loss and throughput between two recorded rows."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch

from lmlab.training.objective import LOSS, add_losses
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
        self.sums = {LOSS: torch.full((), progress.interval_loss, device=device)}
        for name, value in progress.interval_terms.items():
            self.sums[name] = torch.full((), value, device=device)
        self._start_tokens, self._start_seconds = progress.tokens, progress.seconds

    def add(self, losses: Mapping[str, torch.Tensor], num_tokens: int, started: float) -> None:
        """Count one update that began at ``started`` on the performance counter.

        Args:
            losses: of the update, by name.
            num_tokens: of the update.
            started: its start.
        """
        progress = self.progress
        add_losses(self.sums, losses)
        if progress.first_loss is None:
            progress.first_loss = float(losses[LOSS])
        progress.step += 1
        progress.tokens += num_tokens
        progress.interval_steps += 1
        progress.seconds += time.perf_counter() - started

    def read(self) -> tuple[dict[str, float], float]:
        """Return mean losses and tokens per second of the interval, and start the next one."""
        self.synchronize()
        progress = self.progress
        steps = progress.interval_steps
        losses = {name: float(one) / steps for name, one in self.sums.items()}
        seconds = max(progress.seconds - self._start_seconds, 1e-9)
        tokens_per_second = (progress.tokens - self._start_tokens) / seconds
        self.sums = {LOSS: torch.zeros_like(self.sums[LOSS])}
        self._start_tokens, self._start_seconds = progress.tokens, progress.seconds
        progress.interval_steps = 0
        return losses, tokens_per_second

    def synchronize(self) -> None:
        """Wait for the updates that a GPU has queued, and count the wait as training time."""
        started = time.perf_counter()
        self.sums[LOSS].item()
        self.progress.seconds += time.perf_counter() - started

    def store(self) -> None:
        """Copy the sums of losses into ``progress``, for a checkpoint."""
        self.synchronize()
        values = {name: float(one) for name, one in self.sums.items()}
        self.progress.interval_loss = values.pop(LOSS)
        self.progress.interval_terms = values
