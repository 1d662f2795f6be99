"""The difference of two runs names what differs, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmlab.config.compose import compose, to_yaml
from lmlab.outputs.__main__ import main
from lmlab.run_folder import RunFolder


def make(folder: Path, *overrides: str, losses: dict[int, float], **changes: Any) -> RunFolder:
    run = RunFolder(folder)
    run.path.mkdir()
    run.config.write_text(to_yaml(compose(overrides)))
    session = {"time": "t", "python": "3.12", "versions": {"torch": "2.1"},
               "code": {"commit": "c", "diff": changes.get("diff", "")}}  # fmt: skip
    run.write_meta(
        {
            "identity": {"train_text": "h1", "tokenizer": changes.get("tokenizer", "k1")},
            "num_parameters": 5,
            "sessions": [session | changes.get("session", {})],
        }
    )
    run.write_status(changes.get("status", "done"), step=max(losses), steps=20)
    for step, loss in losses.items():
        run.append_row(
            {"kind": "validation", "step": step, "loss": loss, "bits_per_byte": loss / 2}
        )
    run.samples.write_text(changes.get("samples", "# Samples\nonce\n"))
    return run


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    one = make(tmp_path / "one", "optim.lr=1e-3", losses={0: 6.0, 10: 5.0, 20: 4.5})
    two = make(
        tmp_path / "two", "optim.lr=2e-3", "model.norm=none", losses={0: 6.0, 20: 4.25, 30: 4.0},
        session={"versions": {"torch": "2.2"}, "from_step": 10},
        samples="# Samples\ntwice\n", diff="x",
    )  # fmt: skip
    return [str(one.path), str(two.path)]


def test_only_differences_are_printed(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *runs]) == 0
    printed = capsys.readouterr().out
    rows = {cells[0]: cells[1:] for cells in map(str.split, printed.splitlines()) if cells}
    assert rows["optim.lr"] == ["0.001", "0.002"]
    assert rows["model.norm.eps"] == ["1e-05", "-"], "a setting that only one run has"
    assert rows["versions.torch"] == ["2.1", "2.2"]
    assert rows["code.diff"][0] == "sha256"
    assert not {"model.d_model", "python", "num_parameters", "from_step"} & rows.keys()
    assert (rows["0"], rows["20"]) == (
        ["6.0000", "6.0000", "+0.0000"],
        ["4.5000", "4.2500", "-0.2500"],
    )
    assert "10" not in rows and "30" not in rows, "steps of one run only"
    assert "  -once\n  +twice\n" in printed


def test_json_has_the_same_content(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["runs"] == runs
    assert found["settings"]["optim.lr"] == [0.001, 0.002]
    assert found["settings"]["model.norm.eps"] == [1e-5, None]
    assert found["data"] == {} and found["same_tokenizer"] is True
    assert found["losses"] == [
        {"step": 0, "loss": [6.0, 6.0], "bits_per_byte": [3.0, 3.0]},
        {"step": 20, "loss": [4.5, 4.25], "bits_per_byte": [2.25, 2.125]},
    ]


def test_runs_of_two_tokenizers_are_compared_by_bits_per_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "a", losses={5: 3.0})
    make(tmp_path / "b", losses={5: float("nan")}, tokenizer="k2")
    assert main(["diff", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert "identity.tokenizer  k1  k2" in printed
    assert "(bits per byte, because the tokenizers differ)" in printed
    assert "5     1.5000  nan  +nan" in printed


def test_equal_runs_and_no_runs(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", runs[0], runs[0]]) == 0
    printed = capsys.readouterr().out
    assert "settings, texts, tokenizer, versions and progress are equal" in printed
    assert "validation losses: equal at all 3 common steps" in printed
    assert main(["diff", runs[0]]) == 2
    assert main(["diff", runs[0], str(Path(runs[0]).parent)]) == 2
    assert "expected a run folder" in capsys.readouterr().err


def test_a_run_that_is_not_done_and_few_common_steps_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "a", losses={0: 6.0, 5: 3.0})
    make(tmp_path / "b", losses={0: 6.0}, status="diverged")
    assert main(["diff", f"run={tmp_path / 'a'}", str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert f"A: {tmp_path / 'a'}\nB: " in printed, "key=value keeps the order"
    losses = "validation losses: equal at step 0, the only common one; B is diverged"
    assert losses in printed.splitlines()
    make(tmp_path / "c", losses={5: 2.0}, status="failed")
    assert main(["diff", str(tmp_path / "c"), f"runs={tmp_path / 'b'}"]) == 0
    printed = capsys.readouterr().out
    assert "not evaluated at a common step; A is failed and B is diverged\n" in printed
