from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
import torch
from tied_model import make_state, take_steps

from lmlab.errors import DataError, DiskError
from lmlab.run_folder import RunFolder
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.checkpoint_files import (
    find_weights,
    list_steps,
    read_record,
    read_weights,
    remove_checkpoint,
    write_checkpoint,
)

TENSORS = {"model": {"weight": torch.arange(3.0)}}


def test_nothing_in_a_checkpoint_is_pickled(tmp_path: Path) -> None:
    state = make_state(0)
    take_steps(state, 1)
    folder = Checkpoints(tmp_path).save(state)
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "training.safetensors",
        "state.json",
    }
    record = json.loads((folder / "state.json").read_text())
    assert record["progress"]["step"] == 1
    assert b"pickle" not in b"".join(path.read_bytes() for path in folder.iterdir())


def test_tied_weights_are_written_once(tmp_path: Path) -> None:
    folder = Checkpoints(tmp_path).save_best(make_state(0).model, 1, 1.0)
    assert set(read_weights(folder)) == {"embedding.weight", "middle.weight", "middle.bias"}


def test_only_complete_folders_of_a_kind_are_listed(tmp_path: Path) -> None:
    for name in ("step_00000012", "step_00000003", "best_00000005", "step_x", ".tmp-step_1"):
        (tmp_path / name).mkdir()
    assert list_steps(tmp_path, "step") == [3, 12]
    assert list_steps(tmp_path, "best") == [5]
    assert list_steps(tmp_path / "none", "step") == []


def test_the_last_and_the_best_weights_are_found(tmp_path: Path) -> None:
    for which in ("last", "best"):
        with pytest.raises(DataError, match=f"no {which} checkpoint\nhelp: train the run first"):
            find_weights(tmp_path, which)
    for name in ("step_00000012", "step_00000003", "best_00000005"):
        (tmp_path / name).mkdir()
    assert find_weights(tmp_path, "last").name == "step_00000012"
    assert find_weights(tmp_path, "best").name == "best_00000005"


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "step_00000001"
    write_checkpoint(target, TENSORS | {"training": {"x": torch.zeros(1)}}, {"number": 1})
    write_checkpoint(target, {"model": {"weight": torch.ones(3)}}, {"number": 2})
    assert sorted(path.name for path in target.iterdir()) == ["model.safetensors", "state.json"]
    assert read_record(target)["number"] == 2
    assert torch.equal(read_weights(target)["weight"], torch.ones(3))
    assert list(tmp_path.iterdir()) == [target]


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "step_00000001"
    write_checkpoint(target, TENSORS, {})
    record = json.loads((target / "state.json").read_text())
    (target / "state.json").write_text(json.dumps(record | {"format_version": 2}))
    with pytest.raises(DataError, match="step_00000001 has format version 2: expected 1"):
        read_record(target)


def test_a_failed_write_leaves_the_previous_folder_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "step_00000001"
    write_checkpoint(target, TENSORS, {})
    monkeypatch.setattr("lmlab.training.checkpoint_files._fsync", disk_full)
    with pytest.raises(DiskError, match=r"step_00000001.*disk is full"):
        write_checkpoint(target, {"model": {"weight": torch.ones(3)}}, {})
    assert list(tmp_path.iterdir()) == [target]
    assert torch.equal(read_weights(target)["weight"], torch.arange(3.0))


def test_a_removed_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "step_00000001"
    remove_checkpoint(target)  # no checkpoint: nothing to remove
    write_checkpoint(target, TENSORS, {})
    remove_checkpoint(target)
    assert list(tmp_path.iterdir()) == []


def test_no_process_takes_the_run_while_a_checkpoint_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, replace, moved = RunFolder(tmp_path / "run"), os.replace, []

    def replace_late(source: Path, target: Path) -> None:
        if Path(source).is_dir():
            descriptor = os.open(run.path, os.O_RDONLY)
            with pytest.raises(BlockingIOError):  # who takes a lock holds this one first
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(descriptor)
            moved.append(Path(source).name[:4])
        replace(source, target)

    with run.lock():
        monkeypatch.setattr(os, "replace", replace_late)
        target = run.checkpoints / "step_00000001"
        write_checkpoint(target, TENSORS, {})
        remove_checkpoint(target)
    assert moved == [".tmp", "step"]
