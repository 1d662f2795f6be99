"""Tables of short and long words are refilled as they grow."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from bpe_oracle import write

from lmlab.tokenizer import (
    pretoken_counting,
)
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN


@pytest.mark.parametrize("threads", [1, 2])
def test_tables_keep_every_word_as_they_grow(tmp_path: Path, threads: int) -> None:
    chance = random.Random(1)
    words = [
        "".join(
            chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.choice([2, 7, 8, 9, 15, 16, 40]))
        )
        for _ in range(60_000)
    ]
    path = write(tmp_path / "t.txt", " ".join(words))
    found = pretoken_counting.count_words(
        [path], [], GPT2_PATTERN, threads=threads, part_bytes=1 << 14
    )
    assert found is not None
    expected = Counter([words[0], *(" " + word for word in words[1:])])
    assert dict(found) == {word.encode(): count for word, count in expected.items()}
