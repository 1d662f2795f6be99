"""What a comparison says, and what it says that it cannot say."""

from __future__ import annotations

from pathlib import Path

import pytest
from found_runs import write_found_run, write_found_runs

from lmlab.study.exploratory.comparison_text import further_commands
from lmlab.study.exploratory.run_group import read_group
from lmlab.study.exploratory.write_comparison import Choices, compare_runs

A = {0: 3.00, 1: 3.02, 2: 2.99, 3: 3.01}
B = {0: 2.90, 1: 2.93, 2: 2.88, 3: 2.91}
POST = ["model.norm=post"]


def test_one_run_each_says_what_cannot_be_said(tmp_path: Path) -> None:
    a = write_found_run(tmp_path, "a", 3, 3.0)
    b = write_found_run(tmp_path, "b", 3, 2.9, POST)
    content = compare_runs(str(a.path), str(b.path), Choices(margin=0.5))
    found, text = content["result"], " ".join(content["headline"])
    assert (found["verdict"], found["confidence"], found["p"]) == ("none", None, None)
    assert found["difference"] == pytest.approx(-0.1)
    assert "0.1000 nats per token lower than that of A (a), with seed 3" in text
    assert "One run each cannot tell a difference from noise" in text
    assert content["commands"] == [
        "python -m lmlab.train -m seed=4,5,6,7",
        "python -m lmlab.train -m model.norm=post seed=4,5,6,7",
    ]


def test_runs_of_sweeps_have_no_command_of_their_own(tmp_path: Path) -> None:
    a = read_group("A", [write_found_run(tmp_path, "a", 0, 3.0)])
    b = read_group("B", [write_found_run(tmp_path, "b", 0, 3.0, POST)])
    assert further_commands(a, b)[0] == "python -m lmlab.train -m seed=1,2,3,4"
    for command in (["python", "-m", "lmlab.train", "-m", "seed=0,1"],
                    ["python", "-m", "lmlab.run", "config.yaml"],
                    ["python", "-m", "lmlab.train", "experiment=ablate_norm"]):  # fmt: skip
        b.records[0].meta["sessions"][0]["command"] = command
        assert len(further_commands(a, b)) == 1


def test_every_verdict_is_called_exploratory(tmp_path: Path) -> None:
    a, b = write_found_runs(tmp_path, "a", A), write_found_runs(tmp_path, "b", B, POST)
    content = compare_runs(a, b, Choices())
    assert content["headline"][1].startswith("Exploratory verdict: better, by 0.0")
    notes = [note for one in content["sections"] for note in one["notes"]]
    assert any(note.startswith("Exploratory: the runs") for note in notes)
    assert any("configured learning rate" in note for note in notes)
    assert any(note.startswith("With fewer than 5 runs on a side") for note in notes)
    assert content["figure_title"] == "Exploratory, B (b) against A (a)"
