"""The tokenizer study: its measures against worked examples, and the study on two small texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lmlab.config.compose import compose
from lmlab.demos import tokenizer_measures as measures
from lmlab.demos.tokenizer_study import tokenizer_study
from lmlab.demos.write_demo import write_demo
from lmlab.errors import ConfigError, DataError
from lmlab.tokenizer import Tokenizer, utf8

BYTES = {byte: bytes([byte]) for byte in range(256)}


def tokenizer(*merges: tuple[bytes, bytes]) -> Tokenizer:
    made = {256 + index: left + right for index, (left, right) in enumerate(merges)}
    return Tokenizer(BYTES | made, list(merges), ["<|endoftext|>"])


def test_documents_are_drawn_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.txt"
    path.write_text("<|endoftext|>\n".join(f"document {number}" for number in range(10)) + "\n")
    monkeypatch.setattr(utf8, "_CHUNK_BYTES", 7)
    assert len(measures.sample_documents(path, 99, seed=0)) == 10
    draws = [measures.sample_documents(path, 3, seed) for seed in range(3000)]
    assert all(len({document.strip() for document in draw}) == 3 for draw in draws)
    counts = [sum(any(f"document {n}" in d for d in draw) for draw in draws) for n in range(10)]
    # Binomial with p = 0.3: five standard deviations are 125.
    assert max(abs(count - 900) for count in counts) < 126


@pytest.mark.parametrize("content", [b"", b"<|endoftext|>\n", b"\xff"])
def test_texts_without_documents_are_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.txt"):
        measures.sample_documents(tmp_path / "t.txt", 3, seed=0)


def test_compression_and_its_interval() -> None:
    found = tokenizer((b"a", b"b"))
    estimate = measures.bytes_per_token(found, ["abab", "cc"], seed=0)
    assert estimate.value == 6 / 4
    assert estimate.low == 1 and estimate.high == 2  # resamples of one document alone
    chance = np.random.default_rng(0)
    # The interval for a ratio of means: against the delta method on many documents.
    documents = ["ab" * n + "c" * m for n, m in chance.integers(1, 50, size=(400, 2)).tolist()]
    estimate = measures.bytes_per_token(found, documents, seed=0)
    sizes = np.array([len(text) for text in documents])
    tokens = np.array([len(found.encode(text)) for text in documents])
    spread = np.std(sizes - estimate.value * tokens) / tokens.mean() / np.sqrt(400)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_what_two_share() -> None:
    one = tokenizer((b"a", b"b"), (b"ab", b"c"), (b"d", b"e"))
    two = tokenizer((b"a", b"b"), (b"b", b"c"), (b"a", b"bc"))
    assert measures.shared_entries(one, two) == (2, 3, 3)  # ab and abc
    assert measures.shared_merges(one, two) == (1, 1)
    assert measures.longest(one, 2) == [b"abc", b"ab"]
    assert measures.length_histogram(one, 4).tolist() == [2, 1, 0]
    assert measures.length_histogram(one, 3).tolist() == [2, 1]


def test_splits_show_bytes_that_are_no_character() -> None:
    assert measures.split(tokenizer((b"a", b"b")), "abcé") == (4, "ab|c|<c3>|<a9>")


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    for name, word in (("low", "low lower lowest newer"), ("cat", "a cat sat on the mat today")):
        lines = [f"{word} {number}\n<|endoftext|>" for number in range(200)]
        Path(f"{name}.txt").write_text("\n".join(lines))
    return ["low.txt", "cat.txt"]


def test_the_study_on_two_small_texts(texts: list[str], tmp_path: Path) -> None:
    config = compose(["experiment=tokenizer"])
    exhibit = tokenizer_study(
        config=config, texts=texts, heldout=[], vocab_sizes=[265, 270], documents=20,
        extrapolate_gb=1.0, strings=["lower"],
    )  # fmt: skip
    sections = {section.heading: section for section in exhibit.sections}
    names = ["low 265", "low 270", "cat 265", "cat 270"]
    assert [row[0] for row in sections["Compression, at home and abroad"].rows] == names
    assert [row[1] for row in sections["How strings split"].rows] == names
    phases = sections["Time and memory by phase"].rows
    assert "cores, with Python" in sections["Throughput"].text[1]
    assert len(phases) == 4 * 4
    assert all(float(row[4].replace(",", "")) > 5 for row in phases), "MB of an interpreter"
    overlap = sections["What vocabularies share"].rows
    assert overlap[0][:4] == ["low 265", "low 270", "8", "100.0%"]
    home = Tokenizer.load(tmp_path / "outputs" / "tokenizer" / "tokenizers" / "low-270")
    assert home.vocab_size == 270
    page = {path.name for path in write_demo(exhibit, tmp_path / "page", "command")}
    assert {"report.md", "report.html", "compression.png", "phases.svg", "lengths.png"} <= page


@pytest.mark.parametrize(
    ("given", "heldout", "told"),
    [
        ([], [], "demo.texts=\\[\\]: accepted"),
        (["absent.txt"], [], "demo.texts: absent.txt: there is no such file"),
        (["low.txt"], ["absent.txt"], "demo.heldout: absent.txt"),
        (["low.txt", "cat.txt"], ["low.txt"], "accepted are 2 files"),
        (["low.txt", "low.txt"], [], "different names"),
    ],
)
def test_mistakes_are_told(
    texts: list[str], given: list[str], heldout: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        tokenizer_study(
            config=compose(["experiment=tokenizer"]), texts=given, heldout=heldout,
            vocab_sizes=[300], documents=2, extrapolate_gb=1.0, strings=[],
        )  # fmt: skip
