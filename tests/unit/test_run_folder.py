"""The files of a run folder, and which folder a run gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.run_folder import (
    STATUSES,
    RunFolder,
    choose_folder,
    differences,
)


def test_the_same_identity_finds_the_same_folder(tmp_path: Path) -> None:
    base = tmp_path / "arm" / "seed0"
    run, different = choose_folder(base, {"lr": 1})
    assert (run.path, different) == (base, [])
    run.write_meta({"identity": {"lr": 1}})
    assert choose_folder(base, {"lr": 1}) == (run, [])


def test_another_identity_gets_another_folder(tmp_path: Path) -> None:
    base = tmp_path / "arm" / "seed0"
    RunFolder(base).write_meta({"identity": {"config": {"lr": 1, "wd": 0}, "text": "a"}})
    folders = {base}
    for lr in (2, 3):
        run, different = choose_folder(base, {"config": {"lr": lr, "wd": 0}, "text": "a"})
        assert different == [f"config.lr: 1 -> {lr}"]
        assert run.path.parent == base.parent
        assert run.path.name.startswith("seed0-")
        folders.add(run.path)
    assert len(folders) == 3


def test_differences_include_keys_of_one_side() -> None:
    there, here = {"a": {"x": 1}, "b": 2}, {"a": {"x": 1, "y": 3}}
    assert differences(there, here) == ["b: 2 -> None", "a.y: None -> 3"]


def test_a_running_status_without_a_live_writer_is_interrupted(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.write_status("running", step=3)
    assert run.status()["status"] == "interrupted"
    with run.lock():
        assert run.status()["status"] == "running"
    run.write_status("done")
    assert run.status()["status"] == "done"


def test_rows_after_a_checkpoint_are_dropped(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for step in (0, 5, 5, 10):
        run.append_row({"kind": "train" if step else "validation", "step": step})
    run.keep_rows_up_to(5)
    assert [row["step"] for row in run.rows()] == [0, 5, 5]
    assert [row["step"] for row in run.rows("validation")] == [0]
    run.keep_rows_up_to(-1)
    assert run.rows() == []


def test_rows_can_be_taken_from_another_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.keep_rows_up_to(2, [{"step": 1}, {"step": 2}, {"step": 3}])
    assert run.rows() == [{"step": 1}, {"step": 2}]


def test_a_damaged_or_missing_file_reads_as_empty(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.status() == run.meta() == {}
    (tmp_path / "meta.json").write_text('{"iden')
    assert run.meta() == {}


def test_old_rows_of_every_kind_stay_readable(tmp_path: Path) -> None:
    kept = Path(__file__).parents[1] / "support" / "kept_run"
    folders = [RunFolder(path.parent) for path in kept.rglob("status.json")]
    assert folders, "runs kept from an earlier version"
    for run in folders:
        assert run.meta()["identity"] and run.status()["status"] in STATUSES


IDENTITY, OTHER = {"config": {"lr": 1}}, {"config": {"lr": 2}}


def finished(path: Path) -> RunFolder:
    run = RunFolder(path)
    run.write_meta({"identity": IDENTITY, "run": run.key(IDENTITY)})
    run.write_status("done", step=5, steps=5, run=run.key(IDENTITY))
    run.append_row({"kind": "validation", "step": 5, "loss": 1.0})
    return run


def zeros(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def no_identity(path: Path) -> None:
    path.write_text('{"run": 3}')


@pytest.mark.parametrize("damage", [zeros, no_identity, Path.unlink])
def test_a_damaged_meta_lets_no_other_configuration_take_the_folder(tmp_path: Path, damage) -> None:
    run = finished(tmp_path / "seed0")
    damage(run.path / "meta.json")
    taken, different = choose_folder(run.path, OTHER)
    assert taken.path != run.path and "meta.json" in different[0]
    assert choose_folder(run.path, IDENTITY) == (run, []), "status.json names the run"
    (run.path / "status.json").unlink()
    for identity in (IDENTITY, OTHER):
        assert choose_folder(run.path, identity)[0].path != run.path, "nothing says whose rows"


def test_a_folder_in_which_nothing_was_computed_is_free(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "seed0")
    run.path.mkdir()
    run.config.write_text("")
    run.log.write_text("killed before meta.json was written")
    assert choose_folder(run.path, OTHER) == (run, [])


def test_an_earlier_evaluation_is_not_the_result_of_a_run(tmp_path: Path) -> None:
    run = finished(tmp_path)
    assert run.status()["status"] == "done"
    run.write_status("done", step=10, steps=10)
    for _ in range(2):
        assert run.status()["status"] == "interrupted"
        assert "lacks the evaluation at step 10" in run.status()["reason"]
        run.append_row({"kind": "validation", "step": 10})  # its loss was lost
    run.append_row({"kind": "validation", "step": 10, "loss": None})
    assert run.status()["status"] == "diverged"
