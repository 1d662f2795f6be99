"""One process's session of a run: from its last checkpoint to its end, or to a signal."""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
import signal
import traceback
from collections.abc import Callable, Generator
from typing import Any

import torch

from lmlab.build import factory
from lmlab.build.user_code import changed_since
from lmlab.console.formatting import format_count
from lmlab.console.logging import log_above_progress_bars, log_to_file
from lmlab.distributed.fsdp import unsharded
from lmlab.errors import ConfigError, LostLockError, UserError
from lmlab.nn.transformer import Transformer
from lmlab.preflight.run_preflight import RunPreflight
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.runs.context import RunContext
from lmlab.runs.continuation import ParentRun
from lmlab.runs.find_run import holds_run
from lmlab.runs.recorded_config import changed_settings
from lmlab.runs.run_metadata import ranks_of_updates, write_metadata
from lmlab.runs.samples import draw_samples, write_samples
from lmlab.runs.status_writer import StatusWriter
from lmlab.runtime.device import is_out_of_memory
from lmlab.runtime.signals import SignalHandler
from lmlab.storage.ownership import check_ownership
from lmlab.tasks.item_records import write_items
from lmlab.tracking import trackers_of
from lmlab.tracking.deliveries import record_delivery
from lmlab.tracking.run_info import RunInfo, Tracker, describe_to_tracker, final_values
from lmlab.training.checkpoint_files import remove_temporaries
from lmlab.training.state import TrainState, broadcast_state
from lmlab.training.trainer import Trainer

log = logging.getLogger(__name__)

# Yields the inputs and targets of an update, is sent their losses when the gradients are in the
# parameters, and returns how it ended.
GradientRequests = Generator[tuple[torch.Tensor, torch.Tensor], dict[str, torch.Tensor], Any]


@dataclasses.dataclass
class Session:
    """The session that writes the run folder, under its lock; with several ranks, rank 0's.

    Attributes:
        context: of the run.
        state: of the run, still to be restored.
        parent: the run that this one extends.
        preflight: of the run.
        stack_size: number of runs that train as one, this one included.
    """

    context: RunContext
    state: TrainState
    parent: ParentRun | None
    preflight: RunPreflight
    stack_size: int = 1

    def __post_init__(self) -> None:
        """Make the writer of the run's status."""
        spec, folder = self.context.spec, self.context.folder
        key = folder.key(self.context.identity)
        self.status = StatusWriter(folder, self.state, spec.workload.steps, key)
        self.checkpoints = factory.build_checkpoints(spec.workload, folder.checkpoints)
        self.checkpoints.run = key
        self.checkpoints.before_save = folder.sync_rows

    def run_to_end(self) -> int:
        """Train, then generate samples; return the exit code. The status is always up to date."""
        with (
            log_to_file(self.context.folder.log),
            log_above_progress_bars(),
            SignalHandler(all_reduce_max=self.context.comm.all_reduce_max).listen() as stop,
        ):
            try:
                next(self.loop(stop, _train_alone))
            except StopIteration as end:
                return int(end.value)
        raise AssertionError("a run that trains alone requests no gradients")

    def loop(
        self, stop: SignalHandler, train: Callable[[Trainer], GradientRequests]
    ) -> GradientRequests:
        """Run the session; return the exit code.

        Args:
            stop: checked at each step boundary.
            train: runs the trainer; :meth:`Trainer.loop` where the caller computes the gradients.

        Raises:
            UserError: a setting, the data or the machine does not allow the run.
        """
        folder = self.context.folder
        meta, here = folder.meta(), self.context.identity
        across_code = self.context.spec.reuse_across_code
        is_free = meta.get("identity") is None and folder.is_free_for(here)
        if not is_free and not holds_run(meta, here, across_code):
            raise ConfigError(
                f"{folder.path}: used by another configuration", "rerun to get a new folder"
            )
        # Another process may have finished the run since this one looked. Further ranks are in a
        # session already, which trains no step then.
        if self.context.comm.size == 1 and folder.status().get("status") in FINISHED:
            log.info("already complete; skipping")
            return 0
        edited = changed_since(self.context.spec.identity_settings)
        if edited:  # it may be imported already, or not yet
            raise ConfigError(
                f"the code of {', '.join(edited)} changed after this process had read it",
                "rerun; the run with the new code is another run",
            )
        try:
            return (yield from self._run(stop, train))
        except UserError as error:
            self._stop_if_lost()
            self._fail(str(error))
            raise
        except Exception as error:
            self._stop_if_lost()  # the new owner may have removed what this process needed
            if is_out_of_memory(error):
                problem = out_of_memory()
                self._fail(f"{traceback.format_exc()}\n{problem}")
                raise problem from error
            log.exception("the run failed")
            self._fail(traceback.format_exc())
            return 1

    def _run(
        self, stop: SignalHandler, train: Callable[[Trainer], GradientRequests]
    ) -> GradientRequests:
        context = self.context
        is_resumed = self._restore()
        broadcast_state(self.state, context.comm)
        progress = self.state.progress
        write_metadata(
            context, self._model, from_step=progress.step, from_seconds=progress.seconds,
            stack_size=self.stack_size,
        )  # fmt: skip
        self.status.write("running")
        self.preflight.begin(self.state.progress)
        tracker = factory.build_tracker(context.spec, self._run_info(is_resumed))
        exit_code, status = 1, "failed"
        try:
            with context.comm.reporting_lost_ranks():
                ended = yield from train(self._build_trainer(tracker, stop))
            if ended == "stopped":
                exit_code, status = self._note_stop(stop)
            else:
                if ended == "done":
                    with self.state.evaluated(), unsharded(self.state.model):
                        self._write_samples(tracker)
                    self.preflight.end(self.state.progress)
                context.folder.sync_rows()  # before the status says that they are complete
                self.status.write(ended)
                exit_code, status = 0, ended
        finally:
            purpose = context.spec.settings.get("purpose") or ""
            tracker.summary(final_values(context.folder, purpose, status))
            tracker.finish(exit_code)
            components = trackers_of(context.spec.settings["logger"])
            for key in tracker.delivered():
                record_delivery(context.folder, components[key])
        return exit_code

    @property
    def _model(self) -> Transformer:
        assert isinstance(self.state.model, Transformer)
        return self.state.model

    def _restore(self) -> bool:
        """Restore the newest checkpoint, or that of the parent; return whether the run resumes."""
        folder = self.context.folder
        folder.remove_litter()
        remove_temporaries(folder.checkpoints)
        if changed := changed_settings(folder):
            log.warning(
                "%s was changed since the run began; restoring it (meta.json -> config.yaml): %s",
                folder.config, ", ".join(changed),
            )  # fmt: skip
        if num_damaged := folder.scan_rows()[1]:
            number = format_count(num_damaged, "line")
            log.warning("%s: %s cannot be read", folder.path / "metrics.jsonl", number)
        if self.checkpoints.restore_latest(self.state, self._has_rows):
            step = self.state.progress.step
            self.checkpoints.remove_leftovers(step)
            folder.keep_rows_up_to(step or -1)  # the initial state is evaluated again
            log.info("resuming %s at step %d", folder.path, step)
            self._warn_of_other_ranks(folder)
            return True
        if self.parent is not None and self.parent.restore(self.state, folder, self.status.key):
            self._warn_of_other_ranks(self.parent.folder)
        else:
            folder.keep_rows_up_to(-1)
        return False

    def _has_rows(self, step: int) -> bool:
        """Whether the rows of a checkpoint's evaluations exist; a resumed run writes later ones."""
        workload = self.context.spec.workload
        evaluated = {row.get("step") for row in self.context.folder.evaluations()}
        due = {*range(workload.validate_every, step + 1, workload.validate_every)}
        lost = sorted((due | {step} if step == workload.steps else due) - evaluated)
        if lost:
            log.warning(
                "metrics.jsonl lacks the evaluation at step %d; not resuming from step %d",
                lost[0], step,
            )  # fmt: skip
        return not lost

    def _warn_of_other_ranks(self, restored: RunFolder) -> None:
        """Warn if the updates of the restored run were computed on another number of ranks."""
        here = self.context.comm.size
        sessions = restored.meta().get("sessions", [])
        before = ranks_of_updates(sessions, self.state.progress.step)
        if before - {here}:
            log.warning(
                "the run was saved on %s and continues on %s, which add gradients in a different "
                "order: its losses agree closely with those of an uninterrupted run, but not bit "
                "for bit",
                " and ".join(format_count(number, "rank") for number in sorted(before)),
                format_count(here, "rank"),
            )

    def _run_info(self, is_resumed: bool) -> RunInfo:
        settings = copy.deepcopy(self.context.spec.settings)
        return describe_to_tracker(self.context.folder, settings, resumed=is_resumed)

    def _build_trainer(self, tracker: Tracker, stop: SignalHandler) -> Trainer:
        def record(row: dict[str, Any]) -> None:
            self.context.folder.append_row(row)
            tracker.log(row)
            self.status.refresh()

        context = self.context
        return factory.build_trainer(
            context.spec, context.device, context.data, self.state, context.comm,
            checkpoints=self.checkpoints, record=record, stop=stop,
            keep_items=functools.partial(write_items, context.folder),
        )  # fmt: skip

    def _note_stop(self, stop: SignalHandler) -> tuple[int, str]:
        number = stop.signal_number
        assert number is not None
        status = "preempted" if number == signal.SIGUSR2 else "interrupted"
        self.status.write(status)
        log.info(
            "stopped by %s at step %d; rerun the command to resume",
            signal.Signals(number).name,
            self.state.progress.step,
        )
        return 128 + number, status

    def _stop_if_lost(self) -> None:
        """Raise :class:`LostLockError` if another process has taken over the run."""
        try:
            check_ownership(self.context.folder.path)
        except LostLockError as lost:
            self.context.comm.report_failure(str(lost))
            raise

    def _fail(self, reason: str) -> None:
        self.context.comm.report_failure(reason)
        self.status.write_failure(reason)

    def _write_samples(self, tracker: Tracker) -> None:
        rows = draw_samples(self._model, self.context.data.tokenizer, self.context.spec.samples)
        if rows:
            step = self.state.progress.step
            write_samples(self.context.folder.samples, rows, step)
            tracker.samples([row | {"step": step} for row in rows])


def _train_alone(trainer: Trainer) -> GradientRequests:
    """Train with the trainer's own gradients, without requests."""
    yield from ()
    return trainer.train()


def out_of_memory() -> ConfigError:
    """Return the error of a run whose updates or evaluations do not fit the memory."""
    return ConfigError(
        "out of memory",
        "lower training.micro_batch_size (a divisor of training.batch_size; updates stay equal up "
        "to rounding) or validation.batch_size",
    )
