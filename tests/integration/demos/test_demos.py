"""Exhibits: their numbers against what is known beforehand, and the same bytes each time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lmlab import publish
from lmlab import train as train_head
from lmlab.config.compose import compose
from lmlab.demos import Demo, Section, sampling_grid, sgd
from lmlab.demos.unicode import INVALID, SAMPLES, unicode_text
from lmlab.demos.write_demo import write
from lmlab.tokenizer import Tokenizer

BYTES = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], ["<|endoftext|>"])


def test_gradient_descent_on_a_bowl_is_what_algebra_says() -> None:
    for lr in (10.0, 100.0, 1000.0):
        measured = sgd.measure(lr, steps=10, seed=0)
        predicted = sgd.predict(measured[0], lr, steps=10)
        for found, expected in zip(measured, predicted, strict=True):
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-12)
    assert sgd.measure(1000.0, 10, 0)[-1] > 1e10, "diverges"
    assert sgd.measure(100.0, 10, 0)[1] == pytest.approx(sgd.measure(100.0, 10, 0)[0]), (
        "flips signs"
    )


def test_every_text_comes_back() -> None:
    exhibit = unicode_text(config=None, tokenizer=BYTES)
    by_heading = {section.heading: section for section in exhibit.sections}
    trips = by_heading["There and back"].rows
    assert len(trips) == len(SAMPLES)
    assert {row[-1] for row in trips} == {"yes"}
    broken = by_heading["Bytes that are no text"].rows
    assert len(broken) == len(INVALID)
    assert {row[-1] for row in broken} == {"the same"}
    lengths = {row[0]: row for row in by_heading["Encodings"].rows}
    assert lengths["emoji"][3:6] == ["8", "8", "8"]
    assert lengths["plain"][3:6] == ["5", "10", "20"]
    assert lengths["plain"][6] == "0 / 5 / 15"


def test_repeated_grams_worked_by_hand() -> None:
    assert sampling_grid.repeated_share([[1, 2, 1, 2, 1]], 2) == 2 / 4
    assert sampling_grid.repeated_share([[1, 2, 3], [1, 2, 3]], 2) == 0, "each text by itself"
    assert sampling_grid.repeated_share([[1]], 4) == 0


def test_mean_nats_are_those_of_the_logits() -> None:
    from lmlab.build import factory

    words = ["model.vocab_size=257", "tokenizer=bytes", "model.d_model=16", "model.num_layers=1",
             "model.num_heads=2", "model.context_length=8"]  # fmt: skip
    model = factory.build_model(compose(words))
    start, ids = [5, 6], [7, 8, 9]
    with torch.no_grad():
        logs = model(torch.tensor([[5, 6, 7, 8]]))[0].double().log_softmax(-1)
    expected = -(logs[1, 7] + logs[2, 8] + logs[3, 9]) / 3
    assert sampling_grid.mean_nats(model, start, ids) == pytest.approx(float(expected), rel=1e-6)
    assert math.isfinite(sampling_grid.mean_nats(model, [1] * 20, [2] * 20)), "beyond the context"


def test_the_same_exhibit_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        exhibit = sgd.sgd_lr(config=compose(["seed=0"]), lrs=[10.0, 1000.0], steps=5)
        write(exhibit, tmp_path / name, "a command")
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == ["exhibit.json", "losses.png", "losses.svg", "report.html", "report.md"]
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_text_of_an_exhibit_is_shown_not_interpreted(tmp_path: Path) -> None:
    odd = "<b>|</b>\nline"
    exhibit = Demo("odd", odd, [Section(odd, [odd], [odd], [[odd]], [(odd, odd)])], [odd])
    markdown, page, _ = write(exhibit, tmp_path, odd)
    assert "<b>" not in page.read_text("utf-8")
    table = [line for line in markdown.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(table) == 2, "a cell stays in its row"


@pytest.mark.parametrize("name", ["unicode", "sgd_lr"])
def test_an_exhibit_from_the_command_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train_head.main([f"experiment={name}", "tokenizer=bytes"]) == 0
    assert (tmp_path / "outputs" / name / "report.html").exists()
    assert f"report: outputs/{name}/report.html" in capsys.readouterr().out
    assert publish.main([f"outputs/{name}", f"experiments/{name}"]) == 0
    kept = tmp_path / "experiments" / name
    assert (kept / "README.md").read_bytes() == (
        tmp_path / "outputs" / name / "report.md"
    ).read_bytes()
    assert (kept / "losses.png").exists() == (name == "sgd_lr")


def test_a_trained_model_writes_at_every_setting(tmp_path: Path, overrides: list[str]) -> None:
    words = ["experiment=generate", "exhibit.count=1", "exhibit.max_new_tokens=8", *overrides]
    assert train_head.main(words) == 0
    text = (tmp_path / "outputs" / "generate" / "report.md").read_text("utf-8")
    assert text.count("| 0.6 |") == 2 and text.count("| 0 |") == 1
    assert "real text" in text
    assert "greedy:" in text and "temperature 1.3, top-p 0.9:" in text
