"""Measures of tokenizers against worked examples and independent estimates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lmlab.demos import tokenizer_measures as measures
from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, utf8

BYTES = {byte: bytes([byte]) for byte in range(256)}


def tokenizer(*merges: tuple[bytes, bytes]) -> Tokenizer:
    made = {256 + index: left + right for index, (left, right) in enumerate(merges)}
    return Tokenizer(BYTES | made, list(merges), ["<|endoftext|>"])


def test_documents_are_sampled_uniformly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_text_without_documents_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.txt"):
        measures.sample_documents(tmp_path / "t.txt", 3, seed=0)


def test_bytes_per_token_and_its_interval() -> None:
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


def test_overlap_of_two_vocabularies() -> None:
    one = tokenizer((b"a", b"b"), (b"ab", b"c"), (b"d", b"e"))
    two = tokenizer((b"a", b"b"), (b"b", b"c"), (b"a", b"bc"))
    assert measures.shared_entries(one, two) == (2, 3, 3)  # ab and abc
    assert measures.shared_merges(one, two) == (1, 1)
    assert measures.longest(one, 2) == [b"abc", b"ab"]
    assert measures.length_histogram(one, 4).tolist() == [2, 1, 0]
    assert measures.length_histogram(one, 3).tolist() == [2, 1]


def test_splits_show_bytes_of_incomplete_characters() -> None:
    assert measures.split(tokenizer((b"a", b"b")), "abcé") == (4, "ab|c|<c3>|<a9>")
