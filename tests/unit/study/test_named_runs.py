"""Runs that a command line names."""

from __future__ import annotations

from pathlib import Path

import pytest
from output_folders import make_outputs

from lmlab.errors import DataError
from lmlab.study.named_runs import find_run_folders


def test_folders_and_globs_lead_to_runs_each_once(tmp_path: Path) -> None:
    root = make_outputs(tmp_path)
    runs = find_run_folders([str(root / "t"), f"{root}/s/*/seed0", str(root / "s/a/seed0")])
    found = [str(run.path.relative_to(root)) for run in runs]
    assert found == ["t/c/seed0", "s/a/seed0", "s/b/seed0"]
    assert len(find_run_folders([str(root)])) == 4


def test_a_folder_in_brackets_is_no_glob(tmp_path: Path) -> None:
    root = make_outputs(tmp_path / "[ab]")
    assert len(find_run_folders([str(root)])) == 4


def test_mistakes_are_named(tmp_path: Path) -> None:
    root = make_outputs(tmp_path)
    for path, message in (
        (root / "x", "no such folder"), (f"{root}/x*", "matches no folder"),
        (root / "notes", "contains no run"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message):
            find_run_folders([str(path)])
