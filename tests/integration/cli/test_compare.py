"""``python -m lmlab.compare``: two groups of runs from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from found_runs import write_found_run, write_found_runs

from lmlab.compare import main

A, B = {0: 3.00, 1: 3.02, 2: 2.99, 3: 3.01}, {0: 2.90, 1: 2.93, 2: 2.88, 3: 2.91}


def test_globs_name_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_found_runs(tmp_path, "a", A)
    write_found_runs(tmp_path, "b", B, ["model.norm=post"])
    globs = [f"{tmp_path}/runs/{arm}/seed[0-2]" for arm in "ab"]
    assert main([*globs, "--out", str(tmp_path / "report"), "margin=0.01"]) == 0
    output = capsys.readouterr().out
    assert "Exploratory verdict: better" in output and "seeds 0, 1, 2, in pairs" in output
    assert (tmp_path / "report" / "curves.png").exists()
    assert main([*globs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["comparable"]) == ("better", True)
    assert len(found["groups"]["A"]["runs"]) == 3


def test_runs_that_cannot_be_compared_end_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        str(write_found_run(tmp_path, arm, 0, 3.0, valid_text=arm * 64).path) for arm in ("a", "b")
    ]
    assert main(runs) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the runs cannot be compared:\n  B: evaluation tokens")
    assert "help: " in error and "allow=evaluation" in error
    assert main([*runs, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["comparable"] is False
    assert not (tmp_path / "comparisons").exists()
    assert main([*runs, "allow=evaluation"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "compare: expected two groups of runs, found 1"),
        (["x", "y", "z"], "help: put a glob in quotes"),
        (["x", "y"], "x: no such folder"),
        (["x", "y", "margin=-1"], "margin=-1: expected a finite number, 0 or more"),
        (["x", "y", "allow=tokens"], "allow=tokens: expected some of context, evaluation"),
        (["x", "y", "test=z"], "test=z: expected one of auto, t, sign_flips"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
