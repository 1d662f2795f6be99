"""Saved training state: written whole or not at all, checked when read, without pickled code.

A checkpoint is a folder ``step_00000400/`` of

- ``model.safetensors``: the weights,
- ``training.safetensors``: the optimizer's tensors and the random states,
- ``state.json``: format version, the loop's progress, the optimizer's plain numbers, and the
  SHA-256 of the two files above.

It is written under a temporary name and renamed, so a folder with a final name is complete, and a
damaged one (a failing disk, a stray hand) is noticed by its hashes.

What is written is a copy in host memory, made when the save is asked for, so that training may go
on while a worker writes. At most one step's copies exist at a time: of the whole state, and besides
of the weights where they are the best so far.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from lmlab.errors import DataError, DiskError
from lmlab.runtime.background import InlineWorker, Worker
from lmlab.storage.io import (
    disk_error,
    fsync_folder,
    hash_file,
    make_folder,
    translate_write_errors,
    write_json,
)
from lmlab.training.state import Snapshot, TrainState, copy_weights

FORMAT_VERSION = 1
log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one run folder: the last few, the pinned ones and the best weights.

    Args:
        folder: the run's ``checkpoints/`` folder; created by the first save.
        keep_last: number of newest checkpoints to keep, at least 1.
        keep_steps: steps whose checkpoints are never removed.
        worker: writes; the default is done when a save returns.
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
        self._step_in_hand: int | None = None

    def steps(self) -> list[int]:
        """Steps that have a complete checkpoint folder, ascending."""
        return _steps_of(self.folder, "step")

    def path(self, step: int) -> Path:
        """The folder of the checkpoint at ``step``."""
        return self.folder / f"step_{step:08d}"

    def save(self, state: TrainState) -> Path:
        """Save the whole state at ``state.progress.step``, then remove what need not be kept.

        Returns when a copy is made and the worker has it; an earlier step's is waited for.

        Raises:
            DiskError: the disk is full or not writable, now or at an earlier save; every earlier
                checkpoint is untouched.
        """
        self._take_turn(state.progress.step)
        target, snapshot = self.path(state.progress.step), Snapshot.of(state)

        def write() -> None:
            files = {"model": snapshot.weights, "training": snapshot.training}
            self._write(target, files, snapshot.record)
            self.prune(self.keep_last)

        self.worker.start(write)
        return target

    def save_best(self, model: nn.Module, step: int, loss: float) -> Path:
        """Save the weights with the lowest validation loss so far, in place of the former ones.

        Returns and raises as :meth:`save` does.
        """
        self._take_turn(step)
        target, weights = self.folder / f"best_{step:08d}", copy_weights(model)

        def write() -> None:
            self._write(target, {"model": weights}, {"step": step, "validation_loss": loss})
            for old in _steps_of(self.folder, "best"):
                if old != step:
                    _remove(self.folder / f"best_{old:08d}")

        self.worker.start(write)
        return target

    def check(self) -> None:
        """Raise what went wrong with an earlier save, without waiting. Raises as a save does."""
        self.worker.check()

    def wait(self) -> None:
        """Return when every save is on the disk. Raises as a save does."""
        self.worker.wait()

    def settle(self) -> None:
        """Return when nothing is being written any more, whatever came of it."""
        self.worker.settle()

    def _take_turn(self, step: int) -> None:
        """Let no more than one step's state be in memory twice."""
        if step != self._step_in_hand:
            self.worker.wait()
            self._step_in_hand = step

    def prune(self, keep_last: int) -> None:
        """Remove all but the newest ``keep_last`` and the pinned checkpoints."""
        steps = self.steps()
        for step in steps[: max(0, len(steps) - keep_last)]:
            if step not in self.keep_steps:
                _remove(self.path(step))

    def restore_latest(
        self, state: TrainState, accept: Callable[[int], bool] = lambda step: True
    ) -> bool:
        """Load the newest sound checkpoint into ``state``; False if there is none.

        Args:
            state: overwritten in place.
            accept: says of a step whether its checkpoint may be used.

        A damaged checkpoint is passed over with a warning that names it and what is wrong.
        """
        self._sweep_temporaries()
        for step in reversed(self.steps()):
            if not accept(step):
                continue
            try:
                restore(self.path(step), state)
            except DataError as error:
                log.warning("%s; going on from the one before", error)
                continue
            return True
        return False

    def _write(
        self, target: Path, files: dict[str, dict[str, torch.Tensor]], record: dict[str, Any]
    ) -> None:
        make_folder(self.folder)
        temporary = self.folder / f".tmp-{uuid.uuid4().hex}"
        try:
            with translate_write_errors(target):
                temporary.mkdir()
                hashes = {}
                for stem, tensors in files.items():
                    file = temporary / f"{stem}.safetensors"
                    safetensors.torch.save_file(tensors, str(file))
                    _fsync(file)
                    hashes[file.name] = hash_file(file)
                meta = {"format_version": FORMAT_VERSION, "files": hashes}
                write_json(temporary / "state.json", meta | record)
                _remove(target)  # a damaged one of the same step
                os.replace(temporary, target)
                fsync_folder(self.folder)
        except SafetensorError as error:  # the library's own way of telling a full disk
            number = re.search(r"os error (\d+)", str(error))
            known = disk_error(OSError(int(number[1]), ""), target) if number else None
            raise known or DiskError(f"cannot write {target}: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _sweep_temporaries(self) -> None:
        """Remove what a kill left half-written or half-removed."""
        if self.folder.is_dir():
            for path in self.folder.glob(".tmp-*"):
                shutil.rmtree(path, ignore_errors=True)


class NoCheckpoints(Checkpoints):
    """Saves nothing: for steps that are only measured, and where another rank saves."""

    def __init__(self) -> None:
        super().__init__(Path())

    def save(self, state: TrainState) -> Path:
        """Write nothing."""
        return self.folder

    def save_best(self, model: nn.Module, step: int, loss: float) -> Path:
        """Write nothing."""
        return self.folder


def restore(folder: Path, state: TrainState) -> None:
    """Load the checkpoint in ``folder`` into ``state``, after checking every file's hash.

    Raises:
        DataError: a file is missing, cut short or altered, or of another format; names it.
    """
    record = read_record(folder)
    weights, training = (
        safetensors.torch.load_file(str(folder / f"{name}.safetensors"))
        for name in ("model", "training")
    )
    Snapshot(weights, training, record).restore(state, folder)


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read and check the weights of a checkpoint folder. Raises :class:`DataError`."""
    read_record(folder)
    return safetensors.torch.load_file(str(folder / "model.safetensors"))


def find_weights(checkpoints: Path, which: str) -> Path:
    """The folder of the ``best`` or ``last`` weights below a run's ``checkpoints/``.

    Raises:
        DataError: there are none yet.
    """
    steps = _steps_of(checkpoints, "best" if which == "best" else "step")
    if not steps:
        raise DataError(f"{checkpoints} holds no {which} checkpoint: train the run first")
    return checkpoints / f"{'best' if which == 'best' else 'step'}_{steps[-1]:08d}"


def read_record(folder: Path) -> dict[str, Any]:
    """Read ``state.json`` and check the files it names. Raises :class:`DataError`."""
    try:
        record: dict[str, Any] = json.loads((folder / "state.json").read_text("utf-8"))
        version, files = record["format_version"], record["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"checkpoint {folder} is damaged (state.json: {error})") from error
    if version != FORMAT_VERSION:
        raise DataError(
            f"checkpoint {folder} has format version {version}; "
            f"this lmlab reads version {FORMAT_VERSION}"
        )
    for name, expected in files.items():
        path = folder / name
        if not path.is_file() or hash_file(path) != expected:
            raise DataError(f"checkpoint {folder} is damaged ({name} is missing or altered)")
    return record


def _steps_of(folder: Path, kind: str) -> list[int]:
    if not folder.is_dir():
        return []
    names = [path.name.removeprefix(f"{kind}_") for path in folder.glob(f"{kind}_*")]
    return sorted(int(name) for name in names if name.isdigit())


def _remove(folder: Path) -> None:
    """Remove a checkpoint folder so that no half-removed one ever has a checkpoint's name."""
    if folder.exists():
        trash = folder.with_name(f".tmp-{uuid.uuid4().hex}")
        os.replace(folder, trash)
        shutil.rmtree(trash, ignore_errors=True)


def _fsync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
