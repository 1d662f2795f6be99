"""Counting and learning in Python against the obvious way."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from bpe_oracle import TEXT, naive_merges, random_corpus, without_kernels, words_of, write

from lmlab.tokenizer import (
    reference_training,
    train_bpe,
)
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN


def test_text_without_line_ends_is_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.txt", TEXT.replace("\n", " ") * 5)
    whole = train_bpe(path, 290, []).merges
    without_kernels(monkeypatch)
    monkeypatch.setattr("lmlab.tokenizer.utf8._CHUNK_BYTES", 3)
    monkeypatch.setattr("lmlab.tokenizer.pretokenize._BLOCK", 5)
    assert train_bpe(path, 290, []).merges == whole


@pytest.mark.parametrize("seed", range(5))
def test_merges_equal_those_of_the_naive_trainer(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        counts = random_corpus(chance)
        assert reference_training.learn_merges(words_of(counts), 30) == naive_merges(counts, 30)


def test_words_are_counted_between_special_tokens_and_files(tmp_path: Path) -> None:
    paths = [write(tmp_path / "1.txt", "the low<|x|>the low the"), write(tmp_path / "2.txt", "er")]
    found = reference_training.count_words(paths, ["<|x|>"], GPT2_PATTERN)
    assert dict(found) == {b"the": 2, b" low": 2, b" the": 1, b"er": 1}
