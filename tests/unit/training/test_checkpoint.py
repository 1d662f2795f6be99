from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch
from tied_model import all_equal, copy_parameters, make_state, take_steps

from lmlab.errors import DataError, DiskError
from lmlab.runtime.background import ThreadWorker
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.checkpoint_files import (
    copy_checkpoint,
    find_weights,
    list_steps,
    read_weights,
    remove_temporaries,
    write_checkpoint,
)
from lmlab.training.state import Snapshot, load_weights


def test_resuming_from_a_checkpoint_is_bit_identical(tmp_path: Path) -> None:
    straight = make_state(0)
    take_steps(straight, 3)
    Checkpoints(tmp_path).save(straight)
    take_steps(straight, 4)

    resumed = make_state(1)  # other weights: everything must come from the file
    assert Checkpoints(tmp_path).restore_latest(resumed)
    assert resumed.progress.step == 3
    assert not all_equal(copy_parameters(straight), copy_parameters(resumed))
    take_steps(resumed, 4)
    assert all_equal(copy_parameters(straight), copy_parameters(resumed))
    assert resumed.progress == straight.progress
    assert resumed.model.head.weight is resumed.model.embedding.weight
    first, second = resumed.optimizer.param_groups
    assert first["betas"] == (0.9, 0.95)
    assert (first["weight_decay"], second["weight_decay"]) == (0.1, 0.0)


def test_the_random_state_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    state = make_state(0)
    Checkpoints(tmp_path).save(state)
    expected = torch.rand(3)
    torch.manual_seed(99)
    Checkpoints(tmp_path).restore_latest(state)
    assert torch.equal(torch.rand(3), expected)


def test_only_the_latest_and_the_pinned_checkpoints_are_kept(tmp_path: Path) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path, keep_last=2, keep_steps=[2])
    for _ in range(5):
        take_steps(state, 1)
        checkpoints.save(state)
    assert checkpoints.steps() == [2, 4, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"step_{step:08d}" for step in (2, 4, 5)
    ]


def test_only_accepted_steps_are_restored(tmp_path: Path) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path, keep_last=9)
    for _ in range(4):
        take_steps(state, 1)
        checkpoints.save(state)
    fresh = make_state(1)
    assert checkpoints.restore_latest(fresh, lambda step: step <= 2)
    assert fresh.progress.step == 2
    assert not checkpoints.restore_latest(make_state(1), lambda step: step > 4)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(bytes(data))


def overwrite_with_zeros(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, overwrite_with_zeros, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named_and_the_previous_one_restored(
    tmp_path: Path, damage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path, keep_last=3)
    take_steps(state, 1)
    checkpoints.save(state)
    intact = copy_parameters(state)
    take_steps(state, 1)
    checkpoints.save(state)
    if name == "state.json" and damage is flip_a_bit:
        (checkpoints.path(2) / name).write_text('{"format_version": 1, "files": {')
    else:
        damage(checkpoints.path(2) / name)
    fresh = make_state(1)
    assert checkpoints.restore_latest(fresh)
    assert fresh.progress.step == 1
    assert all_equal(copy_parameters(fresh), intact)
    assert "step_00000002" in caplog.text
    assert "falling back to the previous checkpoint" in caplog.text


def test_without_a_checkpoint_the_state_is_unchanged(tmp_path: Path) -> None:
    state = make_state(0)
    before = copy_parameters(state)
    assert not Checkpoints(tmp_path / "none").restore_latest(state)
    assert all_equal(copy_parameters(state), before)


def test_a_full_disk_harms_no_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path, keep_last=1)
    take_steps(state, 1)
    checkpoints.save(state)
    take_steps(state, 1)

    def disk_full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lmlab.training.checkpoint_files._fsync", disk_full)
    with pytest.raises(DiskError, match="disk is full"):
        checkpoints.save(state)
    monkeypatch.undo()
    assert checkpoints.steps() == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]
    assert checkpoints.restore_latest(make_state(1))


def test_folders_left_by_a_kill_are_removed_by_the_owner_alone(tmp_path: Path) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path)
    checkpoints.save(state)
    part = tmp_path / ".tmp-dead"
    shutil.copytree(checkpoints.path(0), part)
    assert checkpoints.restore_latest(make_state(1))
    assert part.exists(), "a run that only continues from here may not remove what is being written"
    remove_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000000"]


def test_what_a_kill_between_save_and_removal_left_is_removed(tmp_path: Path) -> None:
    state, killed = make_state(0), Checkpoints(tmp_path, keep_last=9, keep_steps=[1])
    for step in range(1, 7):
        take_steps(state, 1)
        killed.save(state)
        if step in (2, 4, 6):
            shutil.copytree(killed.path(step), tmp_path / f"best_{step:08d}")
    truncate(killed.path(6) / "model.safetensors")
    checkpoints = Checkpoints(tmp_path, keep_last=2, keep_steps=[1])
    fresh = make_state(1)
    assert checkpoints.restore_latest(fresh)
    checkpoints.remove_leftovers(fresh.progress.step)
    assert checkpoints.steps() == [1, 4, 5, 6]
    assert list_steps(tmp_path, "best") == [4, 6], "the best so far, and a later one"


def test_the_best_weights_of_a_pinned_step_are_kept(tmp_path: Path) -> None:
    """A run that starts from the checkpoint of step 5 takes over the best weights up to there."""
    state, checkpoints = make_state(0), Checkpoints(tmp_path, keep_last=1, keep_steps=[5])
    for step in range(1, 10):
        take_steps(state, 1)
        if step in (2, 4, 7, 9):
            checkpoints.save_best(state.model, step, 1 / step)
    assert list_steps(tmp_path, "best") == [4, 9]
    checkpoints.remove_leftovers(9)
    assert list_steps(tmp_path, "best") == [4, 9]
    Checkpoints(tmp_path, keep_last=1).remove_leftovers(9)
    assert list_steps(tmp_path, "best") == [9]


def test_a_damaged_later_checkpoint_does_not_push_out_new_ones(tmp_path: Path) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path, keep_last=1)
    take_steps(state, 5)
    checkpoints.save(state)
    shutil.copytree(checkpoints.path(5), checkpoints.path(9))
    truncate(checkpoints.path(9) / "model.safetensors")
    resumed = make_state(1)
    assert checkpoints.restore_latest(resumed)
    take_steps(resumed, 2)
    checkpoints.save(resumed)
    assert checkpoints.steps() == [7, 9]


def test_new_best_weights_replace_only_the_previous_best(tmp_path: Path) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path)
    checkpoints.save(state)
    checkpoints.save_best(state.model, 1, 2.0)
    take_steps(state, 1)
    checkpoints.save_best(state.model, 2, 1.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best_00000002", "step_00000000"]
    fresh = make_state(1)
    load_weights(fresh.model, read_weights(find_weights(tmp_path, "best")), tmp_path)
    assert all_equal(copy_parameters(fresh), copy_parameters(state))


class GatedWorker(ThreadWorker):
    """A thread whose tasks wait for a gate to open."""

    def __init__(self) -> None:
        super().__init__("test")
        self.gate = threading.Event()

    def submit(self, task) -> None:
        super().submit(lambda: (self.gate.wait(), task())[1])


def test_a_background_save_writes_the_state_at_the_time_of_the_call(tmp_path: Path) -> None:
    state, worker = make_state(0), GatedWorker()
    checkpoints = Checkpoints(tmp_path, worker=worker)
    take_steps(state, 2)
    saved, restored = copy_parameters(state), make_state(1)
    checkpoints.save_best(state.model, 2, 1.0)
    checkpoints.save(state)
    torch.manual_seed(99)
    take_steps(state, 3)
    assert checkpoints.steps() == []
    worker.gate.set()
    checkpoints.wait()
    assert Checkpoints(tmp_path).restore_latest(restored)
    assert restored.progress.step == 2
    assert all_equal(copy_parameters(restored), saved)
    take_steps(restored, 3)
    assert all_equal(copy_parameters(restored), copy_parameters(state)), (
        "the optimizer's state was copied too"
    )
    best = make_state(1)
    load_weights(best.model, read_weights(find_weights(tmp_path, "best")), tmp_path)
    assert all_equal(copy_parameters(best), saved)


def test_a_save_waits_for_the_save_of_an_earlier_step(tmp_path: Path) -> None:
    state, worker = make_state(0), GatedWorker()
    checkpoints = Checkpoints(tmp_path, worker=worker)
    checkpoints.save(state)
    take_steps(state, 1)
    threading.Timer(0.2, worker.gate.set).start()
    checkpoints.save(state)
    assert 0 in checkpoints.steps(), "copies of two steps were in memory at once"
    checkpoints.wait()
    assert checkpoints.steps() == [0, 1]


def test_an_attribute_that_checkpoints_cannot_hold_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path)
    take_steps(state, 2)
    checkpoints.save(state)
    assert not caplog.records, "an optimizer of torch loses nothing"
    state.optimizer.momentum = 0.5  # type: ignore[union-attr]
    state.optimizer.boost = object()  # type: ignore[union-attr]
    for _ in range(2):
        take_steps(state, 1)
        checkpoints.save(state)
    (record,) = caplog.records
    assert record.getMessage().startswith("optim: boost changed during training and is not part")
    assert checkpoints.steps() == [3, 4], "nothing that was computed is lost"


def move_one_step(folder: Path) -> None:
    """Put the checkpoint of step 1 in the place of that of step 2."""
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("step_00000001"), folder)


def change_progress(folder: Path) -> None:
    record = json.loads((folder / "state.json").read_text())
    record["progress"]["best_loss"] = 0.5
    (folder / "state.json").write_text(json.dumps(record))


def list_no_files(folder: Path) -> None:
    record = json.loads((folder / "state.json").read_text())
    del record["files"]["training.safetensors"], record["checksum"]
    (folder / "state.json").write_text(json.dumps(record))


def lose_all(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def nest_deeply(folder: Path) -> None:
    (folder / "state.json").write_text("[" * 100_000)


def take_over(folder: Path) -> None:
    """Put a checkpoint of another run, of the same step, in the place of one."""
    other, checkpoints = make_state(5), Checkpoints(folder.parent.parent / "other")
    checkpoints.run = "another"
    take_steps(other, 2)
    shutil.rmtree(folder)
    shutil.copytree(checkpoints.save(other), folder)


@pytest.mark.parametrize(
    "damage",
    [move_one_step, change_progress, list_no_files, lose_all, nest_deeply, take_over],
)
def test_whatever_is_wrong_with_a_checkpoint_the_one_before_is_restored(
    tmp_path: Path, damage, caplog: pytest.LogCaptureFixture
) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path / "run", keep_last=3)
    checkpoints.run = "mine"
    take_steps(state, 1)
    checkpoints.save(state)
    intact = copy_parameters(state)
    take_steps(state, 1)
    checkpoints.save(state)
    damage(checkpoints.path(2))
    fresh = make_state(1)
    assert checkpoints.restore_latest(fresh)
    assert fresh.progress.step == 1
    assert all_equal(copy_parameters(fresh), intact)
    (record,) = caplog.records
    assert "step_00000002 is damaged" in record.getMessage()
    assert "falling back to the previous checkpoint" in record.getMessage()


def test_checkpoints_of_earlier_versions_are_restored(tmp_path: Path) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path)
    take_steps(state, 1)
    file = checkpoints.save(state) / "state.json"
    record = json.loads(file.read_text())
    del record["checksum"]
    file.write_text(json.dumps(record))
    checkpoints.run = "mine"
    assert checkpoints.restore_latest(make_state(1))


def test_a_run_does_not_start_from_half_of_a_checkpoint(tmp_path: Path) -> None:
    state, checkpoints = make_state(0), Checkpoints(tmp_path)
    take_steps(state, 1)
    target = checkpoints.path(1)
    snapshot = Snapshot.capture(state)
    record = snapshot.record | {"optimizer": {"numbers": {}, "groups": []}}
    write_checkpoint(target, {"model": snapshot.weights, "training": snapshot.training}, record)
    with pytest.raises(DataError, match="no checkpoint fits the run"):
        checkpoints.restore_latest(make_state(1))


def test_checkpoints_heed_the_umask(tmp_path: Path) -> None:
    state, former = make_state(0), os.umask(0o027)
    try:
        saved = Checkpoints(tmp_path / "run").save(state)
        copy_checkpoint(saved, tmp_path / "copy" / saved.name)
    finally:
        os.umask(former)
    files = [*saved.iterdir(), *(tmp_path / "copy" / saved.name).iterdir()]
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o640"}
