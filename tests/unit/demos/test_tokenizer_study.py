"""The tokenizer study on two small texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.demos.tokenizer_study import tokenizer_study
from lmlab.demos.write_demo import write_demo
from lmlab.errors import ConfigError
from lmlab.tokenizer import Tokenizer


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    for name, word in (("low", "low lower lowest newer"), ("cat", "a cat sat on the mat today")):
        lines = [f"{word} {number}\n<|endoftext|>" for number in range(200)]
        Path(f"{name}.txt").write_text("\n".join(lines))
    return ["low.txt", "cat.txt"]


def test_the_study_on_two_small_texts(texts: list[str], tmp_path: Path) -> None:
    config = compose(["experiment=tokenizer"])
    demo = tokenizer_study(
        config=config, texts=texts, heldout=[], vocab_sizes=[265, 270], documents=20,
        extrapolate_gb=1.0, strings=["lower"],
    )  # fmt: skip
    sections = {section.heading: section for section in demo.sections}
    names = ["low 265", "low 270", "cat 265", "cat 270"]
    assert [row[0] for row in sections["Compression in and out of domain"].rows] == names
    assert [row[1] for row in sections["How strings split"].rows] == names
    phases = sections["Time and memory by phase"].rows
    assert "cores, with Python" in sections["Throughput"].text[1]
    assert len(phases) == 4 * 4
    assert all(float(row[4].replace(",", "")) > 5 for row in phases), "MB of an interpreter"
    overlap = sections["Overlap of vocabularies"].rows
    assert overlap[0][:4] == ["low 265", "low 270", "8", "100.0%"]
    home = Tokenizer.load(tmp_path / "outputs" / "tokenizer" / "tokenizers" / "low-270")
    assert home.vocab_size == 270
    page = {path.name for path in write_demo(demo, tmp_path / "page", "command")}
    assert {"report.md", "report.html", "compression.png", "phases.svg", "lengths.png"} <= page


@pytest.mark.parametrize(
    ("given", "heldout", "message"),
    [
        ([], [], "demo.texts=\\[\\]: expected text files"),
        (["absent.txt"], [], "demo.texts=absent.txt: no such file"),
        (["low.txt"], ["absent.txt"], "demo.heldout=absent.txt"),
        (["low.txt", "cat.txt"], ["low.txt"], "expected 2 files"),
        (["low.txt", "low.txt"], [], "different names"),
    ],
)
def test_a_mistake_in_the_settings_is_refused(
    texts: list[str], given: list[str], heldout: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tokenizer_study(
            config=compose(["experiment=tokenizer"]), texts=given, heldout=heldout,
            vocab_sizes=[300], documents=2, extrapolate_gb=1.0, strings=[],
        )  # fmt: skip
