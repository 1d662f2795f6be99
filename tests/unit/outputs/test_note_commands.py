"""Notes and tags of runs from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from output_folders import make_outputs

from lmlab.outputs.__main__ import main
from lmlab.outputs.note_commands import split_tags
from lmlab.run_folder import RunFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_outputs(tmp_path)


def test_tags_are_added_and_removed_one_by_one(root: Path) -> None:
    run = RunFolder(root / "s/a/seed0")
    run.annotate("mine", ["first"])
    assert main(["tag", str(run.path), "good,first, keep"]) == 0
    assert run.annotations() == ("mine", ["first", "good", "keep"])
    assert main(["untag", str(run.path), "first,unknown"]) == 0
    assert run.annotations() == ("mine", ["good", "keep"])


def test_a_note_leaves_the_tags(root: Path) -> None:
    run = RunFolder(root / "s/a/seed0")
    run.annotate(None, ["good"])
    assert main(["note", str(run.path), "x=1 is odd, -- see log"]) == 0
    assert run.annotations() == ("x=1 is odd, -- see log", ["good"])
    assert main(["note", str(run.path), ""]) == 0
    assert run.annotations() == (None, ["good"])


def test_folders_and_globs_name_several_runs(root: Path) -> None:
    assert main(["tag", f"{root}/s/*/seed0", str(root / "t"), "good"]) == 0
    tagged = [path.parent for path in sorted(root.glob("*/*/*/notes.json"))]
    assert tagged == [root / "s/a/seed0", root / "s/b/seed0", root / "t/c/seed0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tag", "{root}/s/a/seed0"], "expected run folders and then a tag"),
        (["tag", "{root}/s/a/seed0", "{root}/s/b/seed0"], "expected run folders and then a tag"),
        (["tag", "{root}/s/a/seed0", ","], "expected one tag or more"),
        (["note", "{root}/s/a/seed0"], "expected run folders and then a note"),
        (["tag", "{root}/s/a/seed0", "{root}/s/none", "good"], "s/none: no such folder"),
        (["untag", "{root}/s/x*", "good"], "s/x*: matches no folder"),
    ],
)
def test_mistakes_change_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main([word.format(root=root) for word in words]) == 2
    assert message in capsys.readouterr().err
    assert not list(root.glob("*/*/*/notes.json"))


def test_tags_are_split_at_commas() -> None:
    assert split_tags("[a, b ,,a]") == ["a", "b"]
