"""Demos from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab import publish
from lmlab import train as train_command


@pytest.mark.parametrize("name", ["unicode", "sgd_lr"])
def test_a_demo_runs_and_is_published(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train_command.main([f"experiment={name}", "tokenizer=bytes"]) == 0
    assert (tmp_path / "outputs" / name / "report.html").exists()
    assert f"report: outputs/{name}/report.html" in capsys.readouterr().out
    assert publish.main([f"outputs/{name}", f"experiments/{name}"]) == 0
    kept = tmp_path / "experiments" / name
    assert (kept / "README.md").read_bytes() == (
        tmp_path / "outputs" / name / "report.md"
    ).read_bytes()
    assert (kept / "losses.png").exists() == (name == "sgd_lr")


def test_a_trained_model_generates_at_every_setting(tmp_path: Path, overrides: list[str]) -> None:
    arguments = ["experiment=generate", "demo.count=1", "demo.max_new_tokens=8", *overrides]
    assert train_command.main(arguments) == 0
    text = (tmp_path / "outputs" / "generate" / "report.md").read_text("utf-8")
    assert text.count("| 0.6 |") == 2 and text.count("| 0 |") == 1
    assert "real text" in text
    assert "greedy:" in text and "temperature 1.3, top-p 0.9:" in text


@pytest.mark.long
def test_the_coordinate_check_runs_with_its_own_settings(
    tmp_path: Path, overrides: list[str]
) -> None:
    settings = ["demo.widths=[16,32]", "demo.steps=1", "demo.seeds=2", "demo.batch_size=2"]
    arguments = ["experiment=coord_check", "demo.params=[mup,completep]", *settings, *overrides]
    assert train_command.main(arguments) == 0
    text = (tmp_path / "outputs" / "coord_check" / "report.md").read_text("utf-8")
    assert "\nmup. " in text and "after 1 update |" in text
    assert text.count("| completep |") == 10
    assert (tmp_path / "outputs" / "coord_check" / "activations.png").is_file()
