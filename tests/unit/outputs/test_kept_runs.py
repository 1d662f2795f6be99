"""Runs that something needs are kept; what is removed too needs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from output_folders import make_outputs, make_run, use

from lmlab.outputs.__main__ import main
from lmlab.outputs.entries import Entry, find_runs
from lmlab.outputs.kept_runs import find_kept
from lmlab.run_folder import RunFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_outputs(tmp_path)


def runs(root: Path, *names: str) -> list[Entry]:
    return [entry for entry in find_runs(root) if str(entry.path.relative_to(root)) in names]


def test_a_child_that_is_removed_too_needs_no_parent_but_still_needs_its_checkpoints(
    root: Path,
) -> None:
    RunFolder(root / "t/c/seed0").write_meta({"parent": str(root / "s/a/seed0"), "identity": {}})
    both = runs(root, "s/a/seed0", "t/c/seed0")
    assert find_kept(root, both, {}, force=False) == {}
    assert find_kept(root, both, {}, force=False, checkpoints_only=True) == {
        root / "s/a/seed0": "parent of t/c/seed0; --force deletes its checkpoints"
    }
    assert find_kept(root, both, {}, force=True, checkpoints_only=True) == {}


def test_a_study_needs_a_run_until_its_records_are_removed(root: Path) -> None:
    use(root, "t", "s/a/seed0")
    used = runs(root, "s/a/seed0")
    kept = {root / "s/a/seed0": "study t uses it; --force deletes it"}
    assert find_kept(root, used, {}, force=False) == kept
    removed = find_kept(root, used, {}, force=False, is_study_selected=lambda s: s.name == "t")
    assert removed == {}
    assert find_kept(root, used, {}, force=False, checkpoints_only=True) == {}


def test_runs_behind_links_are_kept_with_what_they_need(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = root.parent / "elsewhere"
    run = RunFolder(make_run(elsewhere, "far/arm/seed0", "failed"))
    run.write_meta({"parent": str(root / "s/a/seed0"), "identity": {}})
    (root / "s" / "linked").symlink_to(run.path.parent)
    make_run(elsewhere, "big/arm/seed0", "failed")
    (root / "big").symlink_to(elsewhere / "big")
    before = {path for path in elsewhere.rglob("*")}

    assert main(["delete", "study=*", "--root", str(root), "--yes"]) == 1
    printed = capsys.readouterr().out
    for name, real in (("s/linked/seed0", "far/arm/seed0"), ("big/arm/seed0", "big/arm/seed0")):
        assert (
            f"kept: {name}: a symbolic link leads to it; its folder is {elsewhere / real}"
            in printed
        )
    assert "kept: s/a/seed0: parent of s/linked/seed0" in printed
    assert {path for path in elsewhere.rglob("*")} == before
    names = {"s/a/seed0", "s/linked/seed0", "big/arm/seed0"}
    assert {str(entry.path.relative_to(root)) for entry in find_runs(root)} == names

    assert main(["prune", str(root), "--status", "failed,done", "--yes", "--force"]) == 0
    assert {path for path in elsewhere.rglob("*")} == before
    names.remove("s/a/seed0")
    assert {str(entry.path.relative_to(root)) for entry in find_runs(root)} == names
