"""The training loop. It receives objects, never the configuration."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol

import torch
from torch import nn

from lmlab.console.formatting import format_count
from lmlab.console.progress_bar import progress as progress_bar
from lmlab.distributed.full_tensor import full_tensor
from lmlab.optim.clip import clip_gradients
from lmlab.optim.groups import multiplier_key
from lmlab.runtime.random_streams import RandomStreams
from lmlab.runtime.signals import SignalHandler
from lmlab.training.after_update import parts_after_update
from lmlab.training.callbacks import Callbacks
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.diagnostics import Diagnostics
from lmlab.training.divergence import DivergenceWatch
from lmlab.training.evaluator import ValidationResult
from lmlab.training.interval_meter import IntervalMeter
from lmlab.training.objective import LOSS
from lmlab.training.state import TrainState

log = logging.getLogger(__name__)

# Yields inputs and targets, is sent their losses by name, and returns how the loop ended.
GradientRequests = Generator[tuple[torch.Tensor, torch.Tensor], dict[str, torch.Tensor], str]


# Yields the name and the scores of each task, given the model and the number of steps.
TaskScores = Callable[[nn.Module, int], Iterable[tuple[str, dict[str, float]]]]


def _no_tasks(model: nn.Module, step: int) -> Iterable[tuple[str, dict[str, float]]]:
    return ()


class BatchSource(Protocol):
    """Training batches as a pure function of the step."""

    def batch(self, step: int) -> tuple[Any, Any]:
        """Return inputs and targets of update number ``step``, each (B, T) int64.

        They are NumPy arrays or tensors, which may already be on the device.
        """
        ...


@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """What the loop does and when, in steps (updates).

    Attributes:
        steps: total number of updates.
        grad_clip_norm: maximum global gradient norm; None for no clipping.
        log_every: steps between training rows.
        validate_every: steps between evaluations; the model is also evaluated before the first
            and after the last step.
        save_every: steps between checkpoints; the last step is always saved.
        divergence_margin: a run has diverged when the mean loss of ten updates exceeds the loss of
            its first update by more than this many nats per token, or is not finite; see
            :class:`lmlab.training.divergence.DivergenceWatch`.
        flops_per_token: forward and backward FLOPs per token, for MFU.
        peak_flops: peak FLOP/s of the device; None if unknown.
        show_progress: show a progress bar on a terminal.
        num_ranks: processes that share each batch equally; each loop sees its shard.
        save_at: further steps at which a checkpoint is saved, 0 for the initial state.
        rate_names: name of the learning rate of each parameter group in the rows, ``lr`` for the
            one that ``optim.lr`` sets; empty to log that of the first group.
        patience: evaluations in a row without a validation loss below the lowest one of the
            trained model, after which the run ends; None to train all steps.
        replicated_weights: whether every rank holds all weights and must update them equally.
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
    save_at: frozenset[int] = frozenset()
    rate_names: tuple[str, ...] = ()
    replicated_weights: bool = True
    patience: int | None = None


class Trainer:
    """Trains a model to its last step, or until it stops improving, diverges or gets a signal.

    Args:
        state: model, optimizer and progress: everything that changes and everything that is saved.
        gradients: maps inputs and targets to their mean losses by name, and leaves the gradients
            of the training loss in the model's parameters.
        batches: inputs and targets by step.
        schedule: maps a step to the factor of each group's peak learning rate.
        streams: what layers, optimizers and evaluations draw random numbers from.
        evaluate: measures the model on held-out text.
        score_tasks: scores the model on tasks after a number of steps; by default on none.
        callbacks: functions that observe the model.
        diagnostics: measures norms per layer; None for none.
        checkpoints: saves the state.
        record: receives each row of metrics as soon as it exists.
        settings: what the loop does and when.
        device: device of the model.
        stop: checked at each step boundary.
    """

    def __init__(
        self,
        *,
        state: TrainState,
        gradients: Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]],
        batches: BatchSource,
        schedule: Callable[[int], float],
        streams: RandomStreams,
        evaluate: Callable[[nn.Module], ValidationResult],
        score_tasks: TaskScores = _no_tasks,
        checkpoints: Checkpoints,
        record: Callable[[dict[str, Any]], None],
        settings: LoopSettings,
        device: torch.device,
        stop: SignalHandler,
        callbacks: Callbacks | None = None,
        diagnostics: Diagnostics | None = None,
    ) -> None:
        self.state = state
        self.gradients = gradients
        self.batches = batches
        self.schedule = schedule
        self.streams = streams
        self.evaluate = evaluate
        self.score_tasks = score_tasks
        self.callbacks = callbacks or Callbacks()
        self.diagnostics = diagnostics
        self.checkpoints = checkpoints
        self.record = record
        self.settings = settings
        self.device = device
        self.stop = stop
        self._parts_after_update = parts_after_update(state.model)
        self._meter = IntervalMeter(state.progress, device)
        self._watch = DivergenceWatch(state.progress, device, settings.divergence_margin)

    def train(self) -> str:
        """Run the loop; return ``done``, ``diverged`` or ``stopped``."""
        with contextlib.closing(self.loop()) as loop:
            try:
                batch = next(loop)
                while True:
                    batch = loop.send(self.gradients(*batch))
            except StopIteration as end:
                return str(end.value)

    def loop(self) -> GradientRequests:
        """Run the loop as a generator: yields inputs and targets (B, T) and is sent their losses.

        The caller leaves the gradients of the training loss in the model's parameters. Returns how
        the loop ended, as :meth:`train` does.

        At each step boundary the checkpoint comes last, so that a checkpoint at step s covers
        every row up to s. Checkpoints may be written in the background: a failed write ends the
        loop at the next boundary, and all are on disk when the loop returns. However the loop ends,
        by an error or because the caller closes it, nothing is being written afterwards.
        """
        try:
            return (yield from self._steps())
        finally:
            self.checkpoints.drain()  # the caller may release the lock of the run folder

    def _steps(self) -> GradientRequests:
        progress, settings = self.state.progress, self.settings
        if progress.step == 0:
            self._validate()
            if 0 in settings.save_at:
                self._save()
        with progress_bar(
            total=settings.steps, initial=progress.step, desc="training", unit="step",
            shown=settings.show_progress,
        ) as bar:  # fmt: skip
            while not self._is_finished():
                started = time.perf_counter()
                inputs, targets = self._fetch(progress.step)
                self.state.optimizer.zero_grad(set_to_none=True)
                self.streams.begin("gradients", progress.step)
                losses = yield inputs, targets
                norms, seconds = self._diagnose(inputs, losses[LOSS])
                grad_norm = clip_gradients(self.state.model.parameters(), settings.grad_clip_norm)
                self._update(progress.step)
                self._meter.add(losses, inputs.numel() * settings.num_ranks, started + seconds)
                self._watch.add(losses[LOSS])
                bar.update()
                self.checkpoints.raise_errors()
                if norms:
                    self.record(self._row("diagnostics") | norms)

                diverged = self._has_diverged()
                if diverged or self._is_due(settings.log_every):
                    row = self._record_row(grad_norm)
                    bar.set_postfix_str(_postfix(row))
                if self._is_due(settings.validate_every) and not diverged:
                    self._meter.synchronize()
                    self._validate()
                    diverged = self._stops_early() and self._watch.has_diverged()
                if diverged:
                    self.checkpoints.wait()
                    return "diverged"
                if self.callbacks.are_due(progress.step):
                    self._call_back()
                stopping = self.stop.should_stop()
                if self._must_save() or stopping or self.stop.should_save():
                    self._save()
                if stopping and not self._is_finished():
                    self.checkpoints.wait()
                    return "stopped"
        self.checkpoints.wait()
        if progress.step < settings.steps:
            self._report_early_stop()
        return "done"

    def _is_due(self, every: int) -> bool:
        step = self.state.progress.step
        return step % every == 0 or step == self.settings.steps

    def _is_finished(self) -> bool:
        return self._stops_early() or self.state.progress.step >= self.settings.steps

    def _stops_early(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.state.progress.evaluations_since_best >= patience

    def _must_save(self) -> bool:
        settings, step = self.settings, self.state.progress.step
        is_due = step in settings.save_at or self._is_due(settings.save_every)
        return is_due or self._is_finished()

    def _report_early_stop(self) -> None:
        progress = self.state.progress
        best = "no finite validation loss"
        if progress.best_loss is not None:
            best = f"no validation loss below {progress.best_loss:.4f} (step {progress.best_step})"
        log.info(
            "stopped early at step %d of %d: %s in %s",
            progress.step,
            self.settings.steps,
            best,
            format_count(progress.evaluations_since_best, "evaluation"),
        )

    def _fetch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, targets = map(torch.as_tensor, self.batches.batch(step))
        if self.device.type == "cuda" and inputs.device.type == "cpu":
            inputs, targets = inputs.pin_memory(), targets.pin_memory()
        return (
            inputs.to(self.device, non_blocking=True),
            targets.to(self.device, non_blocking=True),
        )

    def _diagnose(self, inputs: torch.Tensor, loss: torch.Tensor) -> tuple[dict[str, float], float]:
        """Measure norms before an update, if they are due after it.

        Returns:
            The norms by name, and the seconds that they took, which are no training time.
        """
        step = self.state.progress.step + 1
        if self.diagnostics is None or (
            step % self.diagnostics.every and step != self.settings.steps
        ):
            return {}, 0.0
        loss.item()  # the gradients that a GPU is still computing are training time
        started = time.perf_counter()
        norms = self.diagnostics.measure(self.state.model, inputs, self.streams, step)
        return norms, time.perf_counter() - started

    def _update(self, step: int) -> None:
        """Run optimizer step number ``step`` (from 0) at its scheduled learning rate."""
        self.streams.begin("update", step, same_on_all_ranks=self.settings.replicated_weights)
        factor = self.schedule(step)
        for group in self.state.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.state.optimizer.step()
        for part in self._parts_after_update:
            part.after_update()
        if self.state.average is not None:
            self.state.average.update()

    def _row(self, kind: str) -> dict[str, Any]:
        """Return what rows of every kind have in common."""
        progress = self.state.progress
        return {
            "kind": kind,
            "step": progress.step,
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 3),
        }

    def _record_row(self, grad_norm: torch.Tensor) -> dict[str, Any]:
        settings = self.settings
        losses, tokens_per_second = self._meter.read()
        row = self._row("train") | {
            **losses,
            **self._rates(),
            "grad_norm": float(grad_norm),
            "weight_norm": weight_norm(self.state.model),
            "tokens_per_second": round(tokens_per_second, 1),
        }
        if settings.peak_flops is not None:
            row["mfu"] = tokens_per_second * settings.flops_per_token / settings.peak_flops
        self.record(row)
        return row

    def _rates(self) -> dict[str, float]:
        """Return the rates of all groups by name; ``lr`` is the one that ``optim.lr`` sets."""
        groups = self.state.optimizer.param_groups
        rates: dict[str, float] = {}
        for name, group in zip(self.settings.rate_names or ["lr"], groups, strict=False):
            rates.setdefault(name, float(group["lr"]))
        if "lr" not in rates:  # every group that optim.lr sets has a multiplier
            named = zip(self.settings.rate_names, groups, strict=False)
            of_lr = next((one for name, one in named if name.startswith("lr_")), groups[0])
            rates["lr"] = float(of_lr["lr"]) / float(of_lr.get(multiplier_key("lr"), 1.0))
        return {"lr": rates.pop("lr"), **rates}

    def _has_diverged(self) -> bool:
        """Judge the losses at the end of a window of updates, and after the last update."""
        if not self._watch.window_is_full and self.state.progress.step < self.settings.steps:
            return False
        self._meter.synchronize()
        return self._watch.has_diverged()

    def _validate(self) -> None:
        """Evaluate the weights by which the run is measured, perhaps not those it trains."""
        with self.state.evaluated():
            self._validate_weights()

    def _validate_weights(self) -> None:
        """Evaluate the weights that the model has now, and keep them if they are the best."""
        progress = self.state.progress
        self.streams.begin("evaluation", progress.step)
        result = self.evaluate(self.state.model)
        self.record(self._row("validation") | result.scores())
        log.info(
            "step %d: validation loss %.4f, %.4f bits per byte",
            progress.step,
            result.loss,
            result.bits_per_byte,
        )
        if result.sources:
            by_source = (f"{name} {one.loss:.4f}" for name, one in result.sources.items())
            log.info("step %d: validation loss of %s", progress.step, ", ".join(by_source))
        for name, scores in self.score_tasks(self.state.model, progress.step):
            kind, _, name = name.rpartition("/")  # probes/plots
            self.record(self._row(kind or "tasks") | {"name": name} | scores)
        is_best = progress.best_loss is None or result.loss < progress.best_loss
        if progress.step > 0 and result.is_finite and is_best:
            progress.best_loss, progress.best_step = result.loss, progress.step
            progress.evaluations_since_best = 0
            self.checkpoints.save_best(self.state.model, progress.step, result.loss)
        elif progress.step > 0:
            progress.evaluations_since_best += 1

    def _call_back(self) -> None:
        """Call the callbacks that are due, and record what they return."""
        self._meter.synchronize()
        with self.state.in_evaluation_mode():
            results = self.callbacks.call(self.state, self.streams)
        for name, numbers in results:
            self.record(self._row("callback") | {"name": name} | numbers)

    def _save(self) -> None:
        self._meter.store()
        self._watch.store()
        self.checkpoints.save(self.state)


@torch.no_grad()
def weight_norm(model: nn.Module) -> float:
    """Return the L2 norm over all parameters."""
    norms = torch._foreach_norm([parameter.detach() for parameter in model.parameters()])
    return float(full_tensor(torch.linalg.vector_norm(torch.stack(list(norms)))))


def _postfix(row: dict[str, Any]) -> str:
    shown = f"loss={row['loss']:.3f} lr={row['lr']:.2g} tok/s={row['tokens_per_second']:,.0f}"
    return f"{shown} MFU={row['mfu']:.0%}" if "mfu" in row else shown
