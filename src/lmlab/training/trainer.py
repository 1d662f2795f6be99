"""The training loop. It receives objects, never configuration."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Generator
from typing import Any, Protocol

import torch
from torch import nn

from lmlab.console.progress_bar import progress
from lmlab.distributed.full_tensor import full_tensor
from lmlab.optim.clip import clip_gradients
from lmlab.runtime.signals import SignalHandler
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.evaluator import ValidationResult
from lmlab.training.state import Progress, TrainState

log = logging.getLogger(__name__)


class BatchSource(Protocol):
    """Training batches as a pure function of the step."""

    def batch(self, step: int) -> tuple[Any, Any]:
        """Return inputs and targets of update number ``step``, each (B, T) int64.

        They are arrays, or tensors that may be on the device already.
        """
        ...


@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """What the loop does and when, in steps (updates).

    Attributes:
        steps: updates in all.
        grad_clip_norm: bound of the global gradient norm; None for no clipping.
        log_every: steps between recorded training rows.
        validate_every: steps between evaluations; the first and last step are always evaluated.
        save_every: steps between checkpoints; the last step is always saved.
        divergence_margin: the run has diverged when its mean loss since the last row is not
            finite, or lies this many nats a token above the loss of its first update.
        flops_per_token: forward and backward FLOPs a token, for MFU.
        peak_flops: the device's peak in FLOP/s; None where it is not known.
        show_progress: whether a person on a terminal sees a bar.
        num_ranks: processes that share each batch equally; each loop sees its own part.
    """

    steps: int
    grad_clip_norm: float | None
    log_every: int
    validate_every: int
    save_every: int
    divergence_margin: float
    flops_per_token: int
    peak_flops: float | None
    show_progress: bool = True
    num_ranks: int = 1


class Trainer:
    """Trains a model to its last step, or until it diverges or is asked to stop.

    Args:
        state: model, optimizer and progress; the only thing that changes, and all that is saved.
        gradients: called with inputs and targets; leaves the gradients of their mean loss in the
            model's parameters and returns that loss.
        batches: inputs and targets by step.
        schedule: factor of every group's peak learning rate, by step.
        evaluate: measures the model on held-out text.
        checkpoints: where the state is saved.
        record: receives each row of metrics at once.
        settings: what the loop does and when.
        device: where the model is.
        stop: asked at each step boundary.
    """

    def __init__(
        self,
        *,
        state: TrainState,
        gradients: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        batches: BatchSource,
        schedule: Callable[[int], float],
        evaluate: Callable[[nn.Module], ValidationResult],
        checkpoints: Checkpoints,
        record: Callable[[dict[str, Any]], None],
        settings: LoopSettings,
        device: torch.device,
        stop: SignalHandler,
    ) -> None:
        self.state = state
        self.gradients = gradients
        self.batches = batches
        self.schedule = schedule
        self.evaluate = evaluate
        self.checkpoints = checkpoints
        self.record = record
        self.settings = settings
        self.device = device
        self.stop = stop
        self._meter = _Meter(state.progress, device)

    def train(self) -> str:
        """Run the loop to its end; return ``done``, ``diverged`` or ``stopped``."""
        loop = self.loop()
        try:
            batch = next(loop)
            while True:
                batch = loop.send(self.gradients(*batch))
        except StopIteration as end:
            return str(end.value)
        finally:
            self.checkpoints.settle()  # whoever locked the run's folder may now let go of it

    def loop(self) -> Generator[tuple[torch.Tensor, torch.Tensor], torch.Tensor, str]:
        """The loop, asking for gradients: yields inputs and targets (B, T), is sent their loss.

        Whoever drives it leaves the gradients of the mean loss in the model's parameters. Returns
        how the loop ended, as :meth:`train` does.

        At a step boundary the rows come first and the checkpoint last, so that a checkpoint at
        step s stands for every row up to s. Checkpoints may be written in the background: one
        that could not be ends the loop at the next boundary, and every one is on the disk when
        the loop has returned.
        """
        at, settings = self.state.progress, self.settings
        if at.step == 0:
            self._validate()
        with progress(
            total=settings.steps, initial=at.step, desc="training", unit="step",
            shown=settings.show_progress,
        ) as bar:  # fmt: skip
            while at.step < settings.steps:
                started = time.perf_counter()
                inputs, targets = self._fetch(at.step)
                self.state.optimizer.zero_grad(set_to_none=True)
                loss = yield inputs, targets
                grad_norm = clip_gradients(self.state.model.parameters(), settings.grad_clip_norm)
                self._update(at.step)
                self._meter.add(loss, inputs.numel() * settings.num_ranks, started)
                bar.update()
                self.checkpoints.check()

                if self._is_due(settings.log_every):
                    row = self._record_row(grad_norm)
                    bar.set_postfix_str(_postfix(row))
                    if self._has_diverged(row["loss"]):
                        self.checkpoints.wait()
                        return "diverged"
                if self._is_due(settings.validate_every):
                    self._meter.settle()
                    self._validate()
                stopping = self.stop.should_stop()
                if self._is_due(settings.save_every) or stopping or self.stop.should_save():
                    self._save()
                if stopping and at.step < settings.steps:
                    self.checkpoints.wait()
                    return "stopped"
        self.checkpoints.wait()
        return "done"

    def _is_due(self, every: int) -> bool:
        step = self.state.progress.step
        return step % every == 0 or step == self.settings.steps

    def _fetch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, targets = map(torch.as_tensor, self.batches.batch(step))
        if self.device.type == "cuda" and inputs.device.type == "cpu":
            inputs, targets = inputs.pin_memory(), targets.pin_memory()
        return (
            inputs.to(self.device, non_blocking=True),
            targets.to(self.device, non_blocking=True),
        )

    def _update(self, step: int) -> None:
        """Take optimizer step number ``step`` (from 0) at its scheduled learning rate."""
        factor = self.schedule(step)
        for group in self.state.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.state.optimizer.step()

    def _record_row(self, grad_norm: torch.Tensor) -> dict[str, Any]:
        at, settings = self.state.progress, self.settings
        loss, tokens_per_second = self._meter.read()
        row: dict[str, Any] = {
            "kind": "train",
            "step": at.step,
            "tokens": at.tokens,
            "seconds": round(at.seconds, 3),
            "loss": loss,
            "lr": self.state.optimizer.param_groups[0]["lr"],
            "grad_norm": float(grad_norm),
            "weight_norm": weight_norm(self.state.model),
            "tokens_per_second": round(tokens_per_second, 1),
        }
        if settings.peak_flops is not None:
            row["mfu"] = tokens_per_second * settings.flops_per_token / settings.peak_flops
        self.record(row)
        return row

    def _has_diverged(self, loss: float) -> bool:
        first = self.state.progress.first_loss
        assert first is not None, "a row is recorded after the first update"
        return not loss <= first + self.settings.divergence_margin  # a NaN compares false

    def _validate(self) -> None:
        at = self.state.progress
        result = self.evaluate(self.state.model)
        row = {
            "kind": "validation",
            "step": at.step,
            "tokens": at.tokens,
            "seconds": round(at.seconds, 3),
            "loss": result.loss,
            "perplexity": result.perplexity,
            "bits_per_byte": result.bits_per_byte,
            "num_tokens": result.num_tokens,
        }
        self.record(row)
        log.info(
            "step %d: validation loss %.4f, %.4f bits a byte",
            at.step,
            result.loss,
            result.bits_per_byte,
        )
        if (
            at.step > 0
            and result.is_finite
            and (at.best_loss is None or result.loss < at.best_loss)
        ):
            at.best_loss, at.best_step = result.loss, at.step
            self.checkpoints.save_best(self.state.model, at.step, result.loss)

    def _save(self) -> None:
        self._meter.store()
        self.checkpoints.save(self.state)


class _Meter:
    """Sums losses on the device, so that the host waits only when a row is due."""

    def __init__(self, at: Progress, device: torch.device) -> None:
        self.at = at
        self.loss_sum = torch.full((), at.interval_loss, device=device)
        self.tokens_before, self.seconds_before = at.tokens, at.seconds

    def add(self, loss: torch.Tensor, num_tokens: int, started: float) -> None:
        """Count one update that took the time since ``started``."""
        at = self.at
        self.loss_sum = self.loss_sum + loss
        if at.first_loss is None:
            at.first_loss = float(loss)
        at.step += 1
        at.tokens += num_tokens
        at.interval_steps += 1
        at.seconds += time.perf_counter() - started

    def read(self) -> tuple[float, float]:
        """Return mean loss and tokens a second since the last reading, and begin anew."""
        self.settle()
        at = self.at
        loss = float(self.loss_sum) / at.interval_steps
        seconds = max(at.seconds - self.seconds_before, 1e-9)
        tokens_per_second = (at.tokens - self.tokens_before) / seconds
        self.loss_sum = torch.zeros_like(self.loss_sum)
        self.tokens_before, self.seconds_before = at.tokens, at.seconds
        at.interval_steps = 0
        return loss, tokens_per_second

    def settle(self) -> None:
        """Wait for the updates that a GPU has yet to do; that time is theirs."""
        started = time.perf_counter()
        self.loss_sum.item()
        self.at.seconds += time.perf_counter() - started

    def store(self) -> None:
        """Put the sum into the progress that is saved."""
        self.settle()
        self.at.interval_loss = float(self.loss_sum)


@torch.no_grad()
def weight_norm(model: nn.Module) -> float:
    """L2 norm of all parameters together."""
    norms = torch._foreach_norm([parameter.detach() for parameter in model.parameters()])
    return float(full_tensor(torch.linalg.vector_norm(torch.stack(list(norms)))))


def _postfix(row: dict[str, Any]) -> str:
    shown = f"loss={row['loss']:.3f} lr={row['lr']:.2g} tok/s={row['tokens_per_second']:,.0f}"
    return f"{shown} MFU={row['mfu']:.0%}" if "mfu" in row else shown
