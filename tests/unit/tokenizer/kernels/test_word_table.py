"""Short and long words are distinguished by all of their bytes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bpe_oracle import write

from lmlab.tokenizer import (
    pretoken_counting,
)
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN


def test_similar_words_are_counted_separately(tmp_path: Path) -> None:
    words = [
        "a" * index + letter + "a" * (length - 1 - index)
        for length in range(2, 40)
        for index in range(length)
        for letter in "ab"
    ]
    path = write(tmp_path / "t.txt", "".join(" " + word for word in words))
    found = pretoken_counting.count_words([path], [], GPT2_PATTERN)
    assert found is not None
    assert dict(found) == {b" " + word.encode(): count for word, count in Counter(words).items()}
