"""The list of runs: its conditions, its order, and its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from output_folders import DAY, make_outputs, make_run

from lmlab.errors import ConfigError
from lmlab.outputs.__main__ import main
from lmlab.outputs.list_command import parse_age
from lmlab.run_folder import RunFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_outputs(tmp_path)
    for name, loss in (("s/a/seed0", 2.0), ("s/a/seed1", 3.0), ("t/c/seed0", 1.0)):
        RunFolder(root / name).append_row({"kind": "validation", "step": 6, "loss": loss})
    RunFolder(root / "s/a/seed0").annotate(None, ["good"])
    return root


def names(output: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines()[1:-1]]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("loss", ["t/c/seed0", "s/b/seed0", "s/a/seed0", "s/a/seed1"]),
        ("-loss", ["s/a/seed1", "s/a/seed0", "s/b/seed0", "t/c/seed0"]),
        ("-age", ["s/a/seed0", "s/b/seed0"]),
    ],
)
def test_runs_are_sorted(
    root: Path, capsys: pytest.CaptureFixture[str], sort: str, order: list[str]
) -> None:
    import os
    import time

    then = time.time() - 10 * DAY
    for path in (root / "s/a/seed0").rglob("*"):
        os.utime(path, (then, then))
    assert main(["list", str(root), f"sort={sort}"]) == 0
    assert names(capsys.readouterr().out)[: len(order)] == order


def test_the_size_can_be_the_order(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (make_run(root, "s/large/seed0", "done") / "model").write_bytes(b"x" * 10**6)
    assert main(["list", str(root), "--sort", "-size"]) == 0
    assert names(capsys.readouterr().out)[0] == "s/large/seed0"


def test_another_key_shows_its_value(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(root), "sort=best_loss"]) == 0
    first = capsys.readouterr().out.splitlines()[1]
    assert first.startswith("t/c/seed0") and first.endswith("validation loss 1.0000, best_loss=1.0")
    assert main(["list", str(root), "sort=lost"]) == 2
    assert 'did you mean "loss"?' in capsys.readouterr().err


def test_tags_choose_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(root), "tag=good,other"]) == 0
    output = capsys.readouterr().out
    assert names(output) == ["s/a/seed0"]
    assert "[good]" in output
    assert main(["prune", str(root), "--tag", "good", "--yes"]) == 0
    assert not (root / "s/a/seed0").exists() and (root / "s/a/seed1").exists()
    assert main(["prune", str(root), "--tag", "good", "--caches"]) == 2


def test_files_hold_the_chosen_runs_in_their_order(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.csv"
    assert main(["list", str(root), "--status=failed,interrupted", f"csv={path}", "sort=loss"]) == 0
    assert capsys.readouterr().out.startswith("2 runs, ")
    lines = path.read_text().splitlines()
    assert [line.split(",")[3] for line in lines[1:]] == [
        str(root / "t/c/seed0"), str(root / "s/a/seed1"),
    ]  # fmt: skip
    assert main(["list", str(root), "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 4 and {row["loss"] for row in rows} == {1.0, 1.25, 2.0, 3.0}


def test_ages_are_read() -> None:
    assert (parse_age("90m"), parse_age("")) == (5400, 0)
    with pytest.raises(ConfigError, match="expected an age"):
        parse_age("7")
