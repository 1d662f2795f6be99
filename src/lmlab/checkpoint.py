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

import contextlib
import dataclasses
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

from lmlab.background import AtOnce, Worker
from lmlab.errors import DataError, DiskError
from lmlab.io import disk_error, fsync_folder, hash_file, make_folder, write_json, writing

FORMAT_VERSION = 1
log = logging.getLogger(__name__)


@dataclasses.dataclass
class Progress:
    """How far a run has come: everything the loop remembers besides weights and optimizer.

    Attributes:
        step: number of finished updates.
        tokens: training tokens seen.
        seconds: time spent in the loop, over all sessions of the run.
        first_loss: training loss of the first update in nats a token; divergence is judged by it.
        interval_loss: sum of the losses since the last recorded row, in nats a token.
        interval_steps: number of updates in that sum.
        best_loss: lowest finite validation loss so far.
        best_step: the step it was measured at.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    first_loss: float | None = None
    interval_loss: float = 0.0
    interval_steps: int = 0
    best_loss: float | None = None
    best_step: int | None = None


@dataclasses.dataclass
class TrainState:
    """All resumable state of a run in one object."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    progress: Progress


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
        self.worker = worker or AtOnce()
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
        target, weights = self.path(state.progress.step), _copy_weights(state.model)
        tensors, plain = _flatten_optimizer(state.optimizer)
        tensors = {name: _copy(tensor) for name, tensor in tensors.items()} | _random_states()
        record = {"progress": dataclasses.asdict(state.progress), "optimizer": plain}

        def write() -> None:
            self._write(target, {"model": weights, "training": tensors}, record)
            self.prune(self.keep_last)

        self.worker.start(write)
        return target

    def save_best(self, model: nn.Module, step: int, loss: float) -> Path:
        """Save the weights with the lowest validation loss so far, in place of the former ones.

        Returns and raises as :meth:`save` does.
        """
        self._take_turn(step)
        target, weights = self.folder / f"best_{step:08d}", _copy_weights(model)

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

    def restore_newest(
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
            with writing(target):
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
    model = safetensors.torch.load_file(str(folder / "model.safetensors"))
    training = safetensors.torch.load_file(str(folder / "training.safetensors"))
    load_weights(state.model, model, folder)
    _restore_optimizer(state.optimizer, training, record["optimizer"])
    _restore_random_states(training)
    state.progress = Progress(**record["progress"])


def load_weights(model: nn.Module, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    """Copy ``tensors`` into ``model``; shared weights are stored once and may be absent.

    Raises:
        DataError: names or shapes are not the model's.
    """
    shared = _shared_names(model)
    try:
        result = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise DataError(f"{folder} holds weights of another model: {error}") from error
    missing = [name for name in result.missing_keys if name not in shared]
    if missing or result.unexpected_keys:
        raise DataError(
            f"{folder} holds weights of another model: "
            f"missing {missing}, unexpected {result.unexpected_keys}"
        )


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


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous copy in host memory, which no later update changes."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _copy_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copies of a model's state entries; of those that share memory the first name's only."""
    names: dict[tuple[int, torch.Size], str] = {}
    entries = sorted(model.state_dict().items())
    return {
        name: _copy(tensor)
        for name, tensor in entries
        if names.setdefault((tensor.data_ptr(), tensor.shape), name) == name
    }


def _fsync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _shared_names(model: nn.Module) -> set[str]:
    """Names of state entries that share memory with an entry named before or after them."""
    owners: dict[int, list[str]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        owners.setdefault(tensor.data_ptr(), []).append(name)
    return {name for names in owners.values() if len(names) > 1 for name in names}


def _flatten_optimizer(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Split an optimizer's state into named tensors and plain numbers."""
    saved = optimizer.state_dict()
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for index, values in saved["state"].items():
        numbers[str(index)] = {}
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            else:
                numbers[str(index)][key] = value
    return tensors, {"numbers": numbers, "groups": saved["param_groups"]}


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], plain: dict[str, Any]
) -> None:
    state: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in plain["numbers"].items()
    }
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, key = rest.partition(".")
            state[int(index)][key] = tensor
    current = optimizer.state_dict()["param_groups"]
    groups = [_as_before(saved, now) for saved, now in zip(plain["groups"], current, strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _as_before(saved: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Undo what JSON does to a parameter group: tuples became lists."""
    return {
        key: tuple(value) if isinstance(now.get(key), tuple) else value
        for key, value in saved.items()
    }


def _random_states() -> dict[str, torch.Tensor]:
    """Torch's generators: batches do not use them, but a variant with dropout would."""
    states = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_random_states(tensors: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        with contextlib.suppress(RuntimeError):  # another kind of GPU keeps another state
            torch.cuda.set_rng_state(tensors["random.cuda"])
