"""A checkpoint on disk: written atomically, verified when read, without pickled code.

A checkpoint is a folder ``step_00000400/`` of

- ``model.safetensors``: the weights,
- ``training.safetensors``: the optimizer's tensors and the random states,
- ``state.json``: format version, progress of the loop, the optimizer's plain numbers, and the
  SHA-256 of the two files above.

It is written under a temporary name and then renamed, so a folder with a final name is complete.
Damage that happens later, such as a failing disk, shows in the hashes. The best weights are a
folder ``best_00000400/`` without ``training.safetensors``.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from lmlab.errors import DataError, DiskError
from lmlab.storage.io import (
    disk_error,
    fsync_folder,
    hash_file,
    make_folder,
    read_json,
    translate_write_errors,
    write_json,
)
from lmlab.storage.ownership import check_ownership
from lmlab.training.state import AVERAGE, Snapshot, TrainState

FORMAT_VERSION = 1


def checkpoint_path(checkpoints: Path, kind: str, step: int) -> Path:
    """Return the folder of the ``step`` or ``best`` checkpoint at a step."""
    return checkpoints / f"{kind}_{step:08d}"


def list_steps(checkpoints: Path, kind: str) -> list[int]:
    """Return the steps that have a complete ``step`` or ``best`` checkpoint, ascending."""
    if not checkpoints.is_dir():
        return []
    names = [path.name.removeprefix(f"{kind}_") for path in checkpoints.glob(f"{kind}_*")]
    return sorted(int(name) for name in names if name.isdigit())


def find_weights(checkpoints: Path, which: str) -> Path:
    """Return the folder of the ``best`` or ``last`` weights in a run's ``checkpoints/``.

    Raises:
        DataError: the run has no such checkpoint yet.
    """
    kind = "best" if which == "best" else "step"
    steps = list_steps(checkpoints, kind)
    if not steps:
        raise DataError(f"{checkpoints}: no {which} checkpoint", "train the run first")
    return checkpoint_path(checkpoints, kind, steps[-1])


def write_checkpoint(
    target: Path, files: dict[str, dict[str, torch.Tensor]], record: dict[str, Any]
) -> None:
    """Write a checkpoint folder atomically.

    Args:
        target: the folder; replaced if it exists.
        files: tensors by name, for each ``STEM.safetensors``.
        record: content of ``state.json`` in addition to format version and hashes.

    Raises:
        DiskError: the disk is full or not writable; names ``target``.
        LostLockError: another process has taken over the run.
    """
    make_folder(target.parent)
    temporary = _temporary_path(target.parent)
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
            _put_in_place(temporary, target)
    except SafetensorError as error:  # how the library reports a full disk
        number = re.search(r"os error (\d+)", str(error))
        known = disk_error(OSError(int(number[1]), ""), target) if number else None
        raise known or DiskError(f"cannot write {target}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a checkpoint folder atomically; replaces ``target`` if it exists.

    Raises:
        DiskError: the disk is full or not writable; names ``target``.
    """
    make_folder(target.parent)
    temporary = _temporary_path(target.parent)
    try:
        with translate_write_errors(target):
            shutil.copytree(source, temporary)
            for file in temporary.iterdir():
                _fsync(file)
            _put_in_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, target: Path) -> None:
    check_ownership(target)
    remove_checkpoint(target)  # a damaged one of the same step
    os.replace(temporary, target)
    fsync_folder(target.parent)


def restore_checkpoint(folder: Path, state: TrainState) -> None:
    """Load a checkpoint into ``state`` after verifying the hash of each file.

    Raises:
        DataError: a file is missing, truncated, altered or of another format; names it.
    """
    record = read_record(folder)
    weights, training = (
        safetensors.torch.load_file(str(folder / f"{name}.safetensors"))
        for name in ("model", "training")
    )
    Snapshot(weights, training, record).restore(state, folder)


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read and verify the weights of a checkpoint; of a run that averages them, the average.

    Raises:
        DataError: a file is missing, truncated, altered or of another format; names it.
    """
    read_record(folder)
    weights = safetensors.torch.load_file(str(folder / "model.safetensors"))
    training = folder / "training.safetensors"
    if training.is_file():
        with safetensors.safe_open(str(training), framework="pt") as file:
            averaged = [name for name in file.keys() if name.startswith(AVERAGE)]  # noqa: SIM118
            weights |= {name.removeprefix(AVERAGE): file.get_tensor(name) for name in averaged}
    return weights


def read_record(folder: Path) -> dict[str, Any]:
    """Read ``state.json`` and verify the files it lists. Raises :class:`DataError`."""
    try:
        record: dict[str, Any] = read_json(folder / "state.json")
        version, files = record["format_version"], record["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"checkpoint {folder} is damaged (state.json: {error})") from error
    if version != FORMAT_VERSION:
        raise DataError(
            f"checkpoint {folder} has format version {version}: expected {FORMAT_VERSION}"
        )
    for name, expected in files.items():
        path = folder / name
        if not path.is_file() or hash_file(path) != expected:
            raise DataError(f"checkpoint {folder} is damaged ({name} is missing or altered)")
    return record


def remove_checkpoint(folder: Path) -> None:
    """Remove a checkpoint; a partially removed one never has the name of a checkpoint."""
    if folder.exists():
        check_ownership(folder)
        trash = _temporary_path(folder.parent)
        os.replace(folder, trash)
        shutil.rmtree(trash, ignore_errors=True)


def remove_temporaries(checkpoints: Path) -> None:
    """Remove folders that a killed process left partially written or removed.

    Only the owner of the run may call it: those of a live process look the same.
    """
    if checkpoints.is_dir():
        check_ownership(checkpoints)
        for path in checkpoints.glob(".tmp-*"):
            shutil.rmtree(path, ignore_errors=True)


def _temporary_path(checkpoints: Path) -> Path:
    return checkpoints / f".tmp-{uuid.uuid4().hex}"


def _fsync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
