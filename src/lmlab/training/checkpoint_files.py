"""A checkpoint on disk: written atomically, verified when read, without pickled code.

A checkpoint is a folder ``step_00000400/`` of

- ``model.safetensors``: the weights,
- ``training.safetensors``: the optimizer's tensors and the random states,
- ``state.json``: format version, progress of the loop, the optimizer's plain numbers, the run, the
  SHA-256 of the two files above, and a checksum of all this and of the name of the folder.

It is written under a temporary name and then renamed, so a folder with a final name is complete.
Damage that happens later, such as a failing disk, shows in the hashes, and so does a checkpoint of
another step or run. The best weights are a folder ``best_00000400/`` without
``training.safetensors``. Checkpoints of earlier versions have no checksum and name no run.
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
from lmlab.runtime.device import is_out_of_memory
from lmlab.storage.io import (
    disk_error,
    fsync_folder,
    hash_file,
    make_folder,
    match_mode,
    read_json,
    translate_write_errors,
)
from lmlab.storage.ownership import check_ownership, writing
from lmlab.storage.sealed import SEAL, unseal, write_sealed
from lmlab.training.state import AVERAGE, EVALUATED, Snapshot, TrainState

FORMAT_VERSION = 1
RUN = "run"  # key of state.json: names the run, as meta.json does


def checkpoint_path(checkpoints: Path, kind: str, step: int) -> Path:
    """Return the folder of the ``step`` or ``best`` checkpoint at a step."""
    return checkpoints / f"{kind}_{step:08d}"


def list_steps(checkpoints: Path, kind: str) -> list[int]:
    """Return the steps that have a complete ``step`` or ``best`` checkpoint, ascending."""
    if not checkpoints.is_dir():
        return []
    names = [path.name.removeprefix(f"{kind}_") for path in checkpoints.glob(f"{kind}_*")]
    return sorted(int(name) for name in names if re.fullmatch("[0-9]{8}|[1-9][0-9]{8,}", name))


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
            match_mode(*temporary.iterdir())
            meta = {"format_version": FORMAT_VERSION, "files": hashes}
            write_sealed(temporary / "state.json", meta | record, target.name)
            _put_in_place(temporary, target)
    except SafetensorError as error:  # how the library reports a full disk
        number = re.search(r"os error (\d+)", str(error))
        known = disk_error(OSError(int(number[1]), ""), target) if number else None
        raise known or DiskError(f"cannot write {target}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_checkpoint(source: Path, target: Path, run: str | None = None) -> None:
    """Copy a checkpoint folder atomically; replaces ``target`` if it exists.

    Args:
        source: an intact checkpoint.
        target: the folder of the copy.
        run: to which the copy belongs.

    Raises:
        DataError: the source is damaged.
        DiskError: the disk is full or not writable; names ``target``.
    """
    record = read_record(source)
    make_folder(target.parent)
    temporary = _temporary_path(target.parent)
    try:
        with translate_write_errors(target):
            shutil.copytree(source, temporary)
            match_mode(*temporary.iterdir())
            record |= {RUN: run} if run else {}
            write_sealed(temporary / "state.json", record, target.name)
            for file in temporary.iterdir():
                _fsync(file)
            _put_in_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, target: Path) -> None:
    remove_checkpoint(target)  # a damaged one of the same step
    with writing(target):
        os.replace(temporary, target)
    fsync_folder(target.parent)


def read_snapshot(folder: Path, run: str | None = None) -> Snapshot:
    """Read and verify a checkpoint of the full state.

    Args:
        folder: of the checkpoint.
        run: to which it must belong; None for any.

    Raises:
        DataError: a file is missing, truncated, altered, or of another format, step or run; names
            it.
    """
    record = read_record(folder)
    _check_files(folder, record, "model.safetensors", "training.safetensors")
    if run is not None and record.get(RUN, run) != run:
        raise _damaged(folder, "state.json: it belongs to another run")
    try:
        step = record["progress"]["step"]
    except (KeyError, TypeError) as error:
        raise _damaged(folder, "state.json: it has no progress") from error
    if checkpoint_path(folder.parent, "step", step) != folder:
        raise _damaged(folder, f"state.json: it belongs to step {step}")
    weights, training = (_read_tensors(folder, name) for name in ("model", "training"))
    return Snapshot(weights, training, record)


def restore_snapshot(snapshot: Snapshot, state: TrainState, folder: Path) -> None:
    """Overwrite ``state`` with the content of a checkpoint.

    Raises:
        DataError: the content does not fit the state, part of which may be overwritten.
    """
    try:
        snapshot.restore(state, folder)
    except (
        ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
    ) as error:  # fmt: skip
        if is_out_of_memory(error):
            raise
        raise _damaged(folder, f"it does not fit the run: {error}") from error


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read and verify the weights of a checkpoint by which the run is measured.

    They may differ from those that it trains: :meth:`lmlab.training.state.TrainState.evaluated`.

    Raises:
        DataError: a file is missing, truncated, altered or of another format; names it.
    """
    _check_files(folder, read_record(folder), "model.safetensors")
    weights = _read_tensors(folder, "model")
    training = folder / "training.safetensors"
    if training.is_file():
        with safetensors.safe_open(str(training), framework="pt") as file:
            names = list(file.keys())
            for prefix in (AVERAGE, EVALUATED):
                found = [name for name in names if name.startswith(prefix)]
                weights |= {name.removeprefix(prefix): file.get_tensor(name) for name in found}
    return weights


def read_record(folder: Path) -> dict[str, Any]:
    """Read ``state.json`` and verify the files it lists. Raises :class:`DataError`."""
    try:
        record: dict[str, Any] = read_json(folder / "state.json")
        version, files = record["format_version"], dict(record["files"])
        if version == FORMAT_VERSION and SEAL in record:  # earlier builds wrote no checksum
            record = unseal(record, folder.name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, f"state.json: {error}") from error
    if version != FORMAT_VERSION:
        raise DataError(
            f"checkpoint {folder} has format version {version}: expected {FORMAT_VERSION}"
        )
    for name, expected in files.items():
        path = folder / name
        try:
            is_intact = path.parent == folder and path.is_file() and hash_file(path) == expected
        except OSError as error:
            raise _damaged(folder, f"{name}: {error.strerror}") from error
        if not is_intact:
            raise _damaged(folder, f"{name} is missing or altered")
    return record


def _check_files(folder: Path, record: dict[str, Any], *names: str) -> None:
    for name in names:
        if name not in record["files"]:
            raise _damaged(folder, f"state.json does not list {name}")


def _read_tensors(folder: Path, stem: str) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(str(folder / f"{stem}.safetensors"))
    except (OSError, SafetensorError) as error:
        raise _damaged(folder, f"{stem}.safetensors: {' '.join(str(error).split())}") from error


def _damaged(folder: Path, problem: str) -> DataError:
    return DataError(f"checkpoint {folder} is damaged ({problem})")


def remove_checkpoint(folder: Path) -> None:
    """Remove a checkpoint; a partially removed one never has the name of a checkpoint."""
    if folder.exists():
        trash = _temporary_path(folder.parent)
        with writing(folder):
            os.replace(folder, trash)
        shutil.rmtree(trash, ignore_errors=True)


def remove_temporaries(checkpoints: Path) -> None:
    """Remove folders that a killed process left partially written or removed.

    Only the owner of the run may call it: those of a live process look the same.
    """
    found = list(checkpoints.glob(".tmp-*"))
    if found:
        check_ownership(checkpoints)  # after the search: a later owner's are not among them
        for path in found:
            shutil.rmtree(path, ignore_errors=True)


def _temporary_path(checkpoints: Path) -> Path:
    return checkpoints / f".tmp-{uuid.uuid4().hex}"


def _fsync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
