"""Removal of runs, checkpoints and caches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from output_folders import make_outputs, make_run, queue, use

from lmlab.errors import ConfigError
from lmlab.outputs.__main__ import main
from lmlab.outputs.entries import find_runs
from lmlab.outputs.prune import prune
from lmlab.run_folder import RunFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_outputs(tmp_path)


def prune_all(root: Path, *, checkpoints: bool = False, yes: bool = True, dry: bool = False) -> int:
    return prune(root, find_runs(root), checkpoints_only=checkpoints, yes=yes, dry_run=dry)


def test_a_dry_run_removes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(root.rglob("*"))
    assert prune_all(root, yes=False, dry=True) == 0
    assert "would remove 4 entries, " in capsys.readouterr().out
    assert sorted(root.rglob("*")) == before


def test_checkpoints_are_counted_and_best_weights_stay(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prune_all(root, checkpoints=True) == 0
    assert "removed 80.0 kB" in capsys.readouterr().out, "two checkpoints of each of four runs"
    left = {path.name for path in root.glob("*/*/seed*/checkpoints/*")}
    assert left == {"best_00000004"}


def test_wandbs_files_of_a_run_are_removed_and_nothing_outside(root: Path) -> None:
    own, other = root / "s/wandb/offline-run-1-a", root.parent / "wandb/offline-run-2-b"
    for place, folder in (("s/a/seed0", own), ("s/a/seed1", other), ("t", other)):
        folder.mkdir(parents=True, exist_ok=True)
        (root / place / "wandb").mkdir()
        (root / place / "wandb/place.json").write_text(json.dumps({"folder": str(folder)}))
    assert prune_all(root) == 0
    assert (own.exists(), other.exists(), (root / "s/a/seed1").exists()) == (False, True, False)
    make_run(root, "t/d/seed0", "done")
    assert main(["delete", "study=t", "--root", str(root), "--yes"]) == 0
    assert (other.exists(), (root / "t").exists()) == (True, False)


def test_a_run_that_starts_during_the_question_is_skipped(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = RunFolder(root / "s/a/seed1").lock()

    def answer(question: str) -> str:
        assert question.startswith("remove 4 entries, ") and question.endswith("? [y/N] ")
        lock.__enter__()
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    try:
        assert prune_all(root, yes=False) == 0
        assert "skipping s/a/seed1: a process is writing it" in capsys.readouterr().out
        assert [str(entry.path.relative_to(root)) for entry in find_runs(root)] == ["s/a/seed1"]
    finally:
        lock.__exit__(None, None, None)


def test_without_a_terminal_a_flag_is_required(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def end_of_input(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", end_of_input)
    with pytest.raises(ConfigError, match="--yes or --dry-run"):
        prune_all(root, yes=False)
    assert len(find_runs(root)) == 4


def test_nothing_selected_is_not_an_error(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(root, [], checkpoints_only=False, yes=True, dry_run=False) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_runs_that_something_needs_are_kept_and_named(
    root: Path, capsys: pytest.CaptureFixture[str], slurm: FakeSlurm
) -> None:
    use(root, "t", "s/a/seed0")
    RunFolder(root / "t/c/seed0").write_meta({"parent": str(root / "s/b/seed0"), "identity": {}})
    make_run(root, "s/d/seed0", "failed")
    queue(slurm, use(root, "s", "s/d/seed0"), "d")
    command = ["prune", str(root), "--status", "done,diverged,failed", "--yes"]

    assert main([*command, "--checkpoints-only"]) == 0
    printed = capsys.readouterr().out
    assert "kept: s/b/seed0: parent of t/c/seed0; --force deletes its checkpoints" in printed
    assert "kept: s/d/seed0: its job is in the queue of Slurm; cancel it first" in printed
    with_steps = {str(path.relative_to(root).parent.parent) for path in root.rglob("step_00000005")}
    assert with_steps == {"s/b/seed0", "s/d/seed0", "t/c/seed0"}, "study t reads only records"

    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "kept: s/a/seed0: study t uses it; --force deletes it" in printed
    assert "kept: s/b/seed0: parent of t/c/seed0; --force deletes it" in printed
    names = {"s/a/seed0", "s/b/seed0", "s/d/seed0", "t/c/seed0"}
    assert {str(entry.path.relative_to(root)) for entry in find_runs(root)} == names

    assert main([*command, "--force"]) == 0
    names -= {"s/a/seed0", "s/b/seed0"}
    assert {str(entry.path.relative_to(root)) for entry in find_runs(root)} == names
