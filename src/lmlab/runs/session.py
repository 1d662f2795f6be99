"""One process's share of a run: from the last checkpoint to the end, or to a signal."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmlab.build import factory
from lmlab.build.run_data import RunData
from lmlab.config.compose import to_yaml
from lmlab.config.rank_batch import rank_config
from lmlab.config.run_config import RunConfig
from lmlab.console.logging import log_above_progress_bars, log_to_file
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.distributed.data_parallel import DataParallelGradients
from lmlab.distributed.fsdp import unsharded
from lmlab.errors import ConfigError, UserError
from lmlab.nn.transformer import Transformer
from lmlab.preflight.run_preflight import RunPreflight
from lmlab.run_folder import RunFolder, register
from lmlab.runs.continuation import Parent
from lmlab.runtime.device import Device, is_out_of_memory
from lmlab.runtime.provenance import provenance
from lmlab.runtime.signals import SignalHandler
from lmlab.storage.io import atomic_write_text
from lmlab.tracking import RunInfo, Tracker
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.evaluator import ValidationResult
from lmlab.training.generation import generate
from lmlab.training.state import TrainState, broadcast_state
from lmlab.training.trainer import LoopSettings, Trainer

log = logging.getLogger(__name__)
STATUS_SECONDS = 2.0

# What a run asks to have the gradients of (inputs and targets), is sent (their loss), and comes to.
Steps = Generator[tuple[torch.Tensor, torch.Tensor], torch.Tensor, Any]


@dataclasses.dataclass
class Session:
    """One process's share of a run, under the run's lock; of several ranks, that of rank 0.

    Attributes:
        comm: that share each batch.
        stacked: runs that train as one with this, itself among them; 1 where it trains alone.
    """

    config: RunConfig
    run: RunFolder
    device: Device
    texts: RunData
    identity: dict[str, Any]
    state: TrainState
    parent: Parent | None
    flight: RunPreflight
    comm: Communicator = SINGLE_PROCESS
    stacked: int = 1

    def run_to_end(self) -> int:
        """Train, then let the model write; keep the status true whatever happens."""
        with (
            log_to_file(self.run.log),
            log_above_progress_bars(),
            SignalHandler(all_reduce_max=self.comm.all_reduce_max).listen() as stop,
        ):
            try:
                next(self.loop(stop, _by_itself))
            except StopIteration as end:
                return int(end.value)
        raise AssertionError("a run by itself asks nobody for gradients")

    def loop(self, stop: SignalHandler, train: Callable[[Trainer], Steps]) -> Steps:
        """The whole session, in the steps that ``train`` takes; returns the exit code.

        Args:
            stop: asked at each step boundary.
            train: :meth:`Trainer.loop`, where whoever drives this computes the gradients.
        """
        if self.run.meta().get("identity") not in (None, self.identity):
            raise ConfigError(f"{self.run.path} was taken by another configuration: rerun")
        try:
            return (yield from self._run(stop, train))
        except UserError as error:
            self._write_failure(str(error))
            raise
        except Exception as error:
            if is_out_of_memory(error):
                told = ConfigError(
                    "out of memory: lower training.micro_batch_size (it divides "
                    "training.batch_size; the result stays the same) or validation.batch_size"
                )
                self._write_failure(f"{traceback.format_exc()}\n{told}")
                raise told from error
            log.exception("the run failed")
            self._write_failure(traceback.format_exc())
            return 1

    def _run(self, stop: SignalHandler, train: Callable[[Trainer], Steps]) -> Steps:
        resumed = self._restore()
        broadcast_state(self.state, self.comm)
        self._write_head()
        self.flight.begin(self.state.progress)
        tracker = factory.build_tracker(self.config, self._info(resumed))
        exit_code = 1
        try:
            with self.comm.reporting_lost_ranks():
                ended = yield from train(self._trainer(tracker, stop))
            if ended == "stopped":
                exit_code = self._note_stop(stop)
            else:
                if ended == "done":
                    with unsharded(self.state.model):
                        self._write_samples(tracker)
                    self.flight.end(self.state.progress)
                self._write_status(ended)
                tracker.summary(self._summary())
                exit_code = 0
        finally:
            tracker.finish(exit_code)
        return exit_code

    @property
    def _model(self) -> Transformer:
        assert isinstance(self.state.model, Transformer)
        return self.state.model

    def _restore(self) -> bool:
        """Bring the state to where the run stands; False at its very beginning."""
        checkpoints = factory.build_checkpoints(self.config, self.run.checkpoints)
        if checkpoints.restore_latest(self.state):
            step = self.state.progress.step
            self.run.keep_rows_up_to(step)
            log.info("resuming %s at step %d", self.run.path, step)
            return True
        if self.parent is not None and self.parent.restore(self.state, self.run):
            return False
        self.run.keep_rows_up_to(-1)
        return False

    def _write_head(self) -> None:
        """Write what is known before the first step, or at the beginning of a session."""
        meta = self.run.meta()
        place = {
            "device": self.device.name(), "ranks": self.comm.size,
            "parallel": self.comm.parallel, "stacked": self.stacked,
        }  # fmt: skip
        sessions = [*meta.get("sessions", []), provenance() | place]
        atomic_write_text(self.run.config, to_yaml(self.config))
        self.texts.tokenizer.save(self.run.tokenizer)
        self.run.write_meta(
            {
                "format_version": 1,
                "identity": self.identity,
                "parent": self.config.parent,
                "corpus": self.texts.corpus.name,
                "train_tokens": self.texts.train.num_tokens,
                "valid_tokens": self.texts.valid.num_tokens,
                "valid_text_bytes": self.texts.valid.num_text_bytes,
                "num_parameters": self._model.num_parameters(),
                "forward_flops_per_token": self._model.forward_flops_per_token(),
                "floor": self.texts.floor(),
                "policy": self.device.policy.as_dict(),
                "sessions": sessions,
            }
        )
        register(Path(self.config.output_root), self.run, self.identity)
        self._write_status("running")

    def _info(self, resumed: bool) -> RunInfo:
        config = self.config
        return RunInfo(
            folder=self.run.path,
            name=f"{config.arm}/seed{config.seed}",
            group=config.study,
            tags=(self.texts.corpus.name,),
            config=config.as_dict(),
            resumed=resumed,
        )

    def _trainer(self, tracker: Tracker, stop: SignalHandler) -> Trainer:
        written = time.monotonic()

        def record(row: dict[str, Any]) -> None:
            nonlocal written
            self.run.append_row(row)
            tracker.log(row)
            if time.monotonic() - written > STATUS_SECONDS:
                self._write_status("running")
                written = time.monotonic()

        return build_trainer(
            self.config, self.device, self.texts, self.state, self.comm,
            checkpoints=factory.build_checkpoints(self.config, self.run.checkpoints),
            record=record, stop=stop,
        )  # fmt: skip

    def _note_stop(self, stop: SignalHandler) -> int:
        number = stop.signal_number
        assert number is not None
        self._write_status("preempted" if number == signal.SIGUSR2 else "interrupted")
        log.info(
            "stopped by %s at step %d; the same command goes on from here",
            signal.Signals(number).name,
            self.state.progress.step,
        )
        return 128 + number

    def _write_status(self, status: str, **details: Any) -> None:
        at = self.state.progress
        self.run.write_status(
            status,
            step=at.step,
            steps=self.config.training.steps,
            tokens=at.tokens,
            seconds=round(at.seconds, 3),
            **details,
        )

    def _write_failure(self, reason: str) -> None:
        self.comm.report_failure(reason)
        # On a full disk the status cannot be told either; the error itself still is.
        with contextlib.suppress(UserError, OSError):
            self._write_status("failed", reason=reason)

    def _summary(self) -> dict[str, Any]:
        at = self.state.progress
        last = self.run.rows("validation")[-1]
        measured = {key: last[key] for key in ("loss", "perplexity", "bits_per_byte")}
        return measured | {"best_loss": at.best_loss, "best_step": at.best_step}

    def _write_samples(self, tracker: Tracker) -> None:
        """Let the trained model write, and keep what it wrote in ``samples.md``."""
        settings, tokenizer = self.config.samples, self.texts.tokenizer
        prompts = [text for text in settings.prompts for _ in range(settings.count)]
        if not prompts:
            return
        start = [tokenizer.end_of_text_id] if tokenizer.end_of_text_id is not None else [0]
        written = generate(
            self._model,
            [tokenizer.encode(prompt) or start for prompt in prompts],
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            seed=self.config.seeds.sampling,
            stop_id=tokenizer.end_of_text_id,
        )
        rows = [
            {"prompt": prompt, "text": tokenizer.decode(ids)}
            for prompt, ids in zip(prompts, written, strict=True)
        ]
        blocks = (f"```text\n{row['prompt']}{row['text']}\n```\n" for row in rows)
        title = f"# Samples at step {self.state.progress.step}\n\n"
        atomic_write_text(self.run.samples, title + "\n".join(blocks))
        tracker.samples(rows)


def build_trainer(
    config: RunConfig,
    device: Device,
    texts: RunData,
    state: TrainState,
    comm: Communicator,
    *,
    checkpoints: Checkpoints,
    record: Callable[[dict[str, Any]], None],
    stop: SignalHandler,
) -> Trainer:
    """The loop of this process: of a whole run, or of one of its ranks."""
    model, training = state.model, config.training
    assert isinstance(model, Transformer)
    share = rank_config(config, comm.size)
    peak = device.peak_flops()
    evaluator = factory.build_evaluator(config, texts, device, comm)

    def evaluate(model: nn.Module) -> ValidationResult:
        with unsharded(model):  # ranks may have different numbers of passes
            return evaluator.evaluate(model)

    return Trainer(
        state=state,
        gradients=DataParallelGradients(
            factory.build_gradients(share, model, device, comm=comm), model, comm
        ),
        batches=factory.build_batches(config, texts, device.device, comm),
        schedule=factory.build_schedule(config),
        evaluate=evaluate,
        checkpoints=checkpoints,
        record=record,
        settings=LoopSettings(
            steps=training.steps,
            grad_clip_norm=training.grad_clip_norm,
            log_every=training.log_every,
            validate_every=config.validation.every_steps,
            save_every=config.checkpoint.every_steps,
            divergence_margin=training.divergence_margin,
            # The backward pass takes two products for each one of the forward pass.
            flops_per_token=3 * model.forward_flops_per_token(),
            peak_flops=None if peak is None else peak * comm.size,
            show_progress=comm.is_rank0,
            num_ranks=comm.size,
        ),
        device=device.device,
        stop=stop,
    )


def _by_itself(trainer: Trainer) -> Steps:
    """Train with the trainer's own gradients: nobody is asked for any."""
    yield from ()
    return trainer.train()
