"""The checkpoints of a run: when they are written and how long they are kept.

A save copies the state to host memory and returns; a worker writes the copy while training
continues. At most one step has copies in memory at a time: of the full state and, where they are
the best so far, of the weights.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from torch import nn

from lmlab.errors import DataError
from lmlab.runtime.background import InlineWorker, Worker
from lmlab.training.checkpoint_files import (
    RUN,
    checkpoint_path,
    list_steps,
    read_snapshot,
    remove_checkpoint,
    restore_snapshot,
    write_checkpoint,
)
from lmlab.training.state import Snapshot, TrainState, copy_weights

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one run: the latest few, the pinned ones and the best weights.

    Args:
        folder: the run's ``checkpoints/`` folder; the first save creates it.
        keep_last: number of latest checkpoints to keep, at least 1.
        keep_steps: steps whose checkpoints are saved and never removed.
        worker: writes the files; by default a save returns when they are written.

    Attributes:
        run: names the run in its checkpoints; those that name another one count as damaged.
            None: unknown.
        before_save: called before a checkpoint is put in place, to make durable what it covers.
    """

    def __init__(
        self,
        folder: Path,
        keep_last: int = 2,
        keep_steps: Iterable[int] = (),
        worker: Worker | None = None,
    ) -> None:
        self.folder = folder
        self.keep_last = keep_last
        self.keep_steps = frozenset(keep_steps)
        self.worker = worker or InlineWorker()
        self.run: str | None = None
        self.before_save: Callable[[], None] = lambda: None
        self._step_being_saved: int | None = None

    def steps(self) -> list[int]:
        """Return the steps that have a complete checkpoint, ascending."""
        return list_steps(self.folder, "step")

    def path(self, step: int) -> Path:
        """Return the folder of the checkpoint at ``step``."""
        return checkpoint_path(self.folder, "step", step)

    def save(self, state: TrainState) -> Path:
        """Save the full state at ``state.progress.step``, then remove expired checkpoints.

        Returns once the state is copied; first waits until earlier steps are written.

        Raises:
            DiskError: the disk is full or not writable, now or at an earlier save; earlier
                checkpoints are unharmed.
        """
        self._wait_for_earlier_steps(state.progress.step)
        if names := state.newly_unsaved():
            log.warning(
                "optim: %s changed during training and is not part of a checkpoint; if the run is "
                "interrupted, it does not resume exactly. Hold it in the optimizer's state, or as "
                "a number, tensor or array in an attribute",
                ", ".join(names),
            )
        step = state.progress.step
        target, snapshot = self.path(step), Snapshot.capture(state)

        def write() -> None:
            files = {"model": snapshot.weights, "training": snapshot.training}
            self.before_save()
            write_checkpoint(target, files, snapshot.record | self._named())
            self.prune(self.keep_last, step)

        self.worker.submit(write)
        return target

    def save_best(self, model: nn.Module, step: int, loss: float) -> Path:
        """Save the weights with the lowest validation loss so far and remove the previous ones.

        Those that were the best at a pinned step stay, for runs that start from it.

        Returns and raises as :meth:`save` does.
        """
        self._wait_for_earlier_steps(step)
        target, weights = checkpoint_path(self.folder, "best", step), copy_weights(model)

        def write() -> None:
            record = {"step": step, "validation_loss": loss}
            write_checkpoint(target, {"model": weights}, record | self._named())
            self._prune_best([one for one in list_steps(self.folder, "best") if one != step], step)

        self.worker.submit(write)
        return target

    def raise_errors(self) -> None:
        """Raise the error of an earlier save, if one failed, without waiting for the others."""
        self.worker.raise_errors()

    def wait(self) -> None:
        """Wait until all saves are on disk. Raises the error of the first that failed."""
        self.worker.wait()

    def drain(self) -> None:
        """Wait until nothing is being written, without raising the errors of failed saves."""
        self.worker.drain()

    def _named(self) -> dict[str, str]:
        return {} if self.run is None else {RUN: self.run}

    def _wait_for_earlier_steps(self, step: int) -> None:
        """Keep copies of one step at most in memory."""
        if step != self._step_being_saved:
            self.worker.wait()
            self._step_being_saved = step

    def prune(self, keep_last: int, step: int) -> None:
        """Remove all checkpoints up to ``step`` but the latest ``keep_last`` and the pinned ones.

        Later ones are damaged: the run has fallen back to ``step`` or before.
        """
        steps = [one for one in self.steps() if one <= step]
        for old in steps[: max(0, len(steps) - keep_last)]:
            if old not in self.keep_steps:
                remove_checkpoint(self.path(old))

    def remove_leftovers(self, step: int) -> None:
        """Remove checkpoints that a session killed after saving newer ones has left.

        Args:
            step: from which the run resumes.
        """
        self.prune(self.keep_last, step)
        found = [one for one in list_steps(self.folder, "best") if one <= step]
        self._prune_best(found[:-1], *found[-1:])

    def _prune_best(self, steps: Sequence[int], *newest: int) -> None:
        """Remove best weights, except those that were the best so far at a pinned step.

        A run that starts from the checkpoint of that step takes them over.
        """
        for old, later in itertools.pairwise([*steps, *newest]):
            if not any(old <= pinned < later for pinned in self.keep_steps):
                remove_checkpoint(checkpoint_path(self.folder, "best", old))

    def restore_latest(
        self, state: TrainState, accept: Callable[[int], bool] = lambda step: True
    ) -> bool:
        """Load the latest intact checkpoint into ``state``.

        A damaged checkpoint is skipped with a warning that names it and the damage.

        Args:
            state: overwritten in place.
            accept: returns whether the checkpoint of a step may be used.

        Returns:
            Whether there was such a checkpoint.

        Raises:
            DataError: no checkpoint fits the run, and one has overwritten part of ``state``.
        """
        steps = [step for step in reversed(self.steps()) if accept(step)]
        is_overwritten = False
        for step, earlier in itertools.zip_longest(steps, steps[1:]):
            try:
                snapshot = read_snapshot(self.path(step), self.run)
                is_overwritten = True
                restore_snapshot(snapshot, state, self.path(step))
            except DataError as error:
                then = "falling back to the previous checkpoint"
                if earlier is None:
                    then = "no earlier checkpoint is left"
                log.warning("%s; %s", error.message, then)
                continue
            return True
        if is_overwritten:
            raise DataError(
                f"{self.folder}: no checkpoint fits the run", "move the folder away to train again"
            )
        return False


class NoCheckpoints(Checkpoints):
    """Saves nothing: for measurements, and for ranks other than rank 0."""

    def __init__(self) -> None:
        super().__init__(Path())

    def save(self, state: TrainState) -> Path:
        """Write nothing."""
        return self.folder

    def save_best(self, model: nn.Module, step: int, loss: float) -> Path:
        """Write nothing."""
        return self.folder
