"""The files of a run folder, and which folder a run gets."""

from __future__ import annotations

import json
from pathlib import Path

from lmlab.run_folder import (
    STATUSES,
    RunFolder,
    choose_folder,
    describe,
    differences,
    find_registered,
    register,
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
    assert "not started" in describe(run)


def test_the_summary_shows_loss_entropy_and_sample(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_meta({"floor": {"bits_per_byte": 0.4321, "note": "whole documents"}})
    run.write_status("done", step=10, steps=10, tokens=2_500_000, seconds=7.0)
    run.append_row(
        {"kind": "validation", "step": 10, "loss": 1.2345, "perplexity": 3.44, "bits_per_byte": 0.5}
    )
    run.samples.write_text("# Samples\n\n```text\nOnce upon\na time\n```\n")
    summary = describe(run)
    for part in (
        "done at step 10",
        "2.50 M",
        "1.2345 nats per token",
        "0.5000",
        "0.4321 bits per byte",
        "Once upon\na time",
    ):
        assert part in summary
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "done"


def test_a_registered_run_is_found_until_its_identity_changes(tmp_path: Path) -> None:
    run, identity = RunFolder(tmp_path / "study" / "arm" / "seed0"), {"lr": 1}
    assert find_registered(tmp_path, identity) is None
    run.write_meta({"identity": identity})
    register(tmp_path, run, identity)
    found = find_registered(tmp_path, identity)
    assert found is not None and found.path == run.path
    assert find_registered(tmp_path, {"lr": 2}) is None
    run.write_meta({"identity": {"lr": 2}})
    assert find_registered(tmp_path, identity) is None, "its folder holds another run now"


def test_old_rows_of_every_kind_stay_readable(tmp_path: Path) -> None:
    kept = Path(__file__).parents[1] / "support" / "kept_run"
    folders = [RunFolder(path.parent) for path in kept.rglob("status.json")]
    assert folders, "runs kept from an earlier version"
    for run in folders:
        assert run.meta()["identity"] and run.status()["status"] in STATUSES
        assert "nats per token" in describe(run) or not run.rows("validation")
