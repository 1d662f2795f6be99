"""Shingles of blocks against sets of words, made one document after the other."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from lmlab.data import shingles
from lmlab.data.shingles import shingles_of

GAP = 13


def of_words(text: str, words: int) -> set[tuple[str, ...]]:
    """The obvious way: tuples of words."""
    found = re.findall(r"[0-9a-z\x80-\U0010ffff]+", re.sub("[A-Z]", lambda m: m[0].lower(), text))
    if 0 < len(found) < words:
        return {tuple(found)}
    return {tuple(found[n : n + words]) for n in range(len(found) - words + 1)}


def made(documents: list[str], words: int, gap: int = GAP) -> list[set[int]]:
    encoded = [document.encode() for document in documents]
    text = np.frombuffer(b"".join(one + b"<|endoftext|>"[:gap] for one in encoded), np.uint8)
    hashes, owners = shingles_of(text, np.array([len(one) for one in encoded]), gap, words)
    assert (np.diff(owners) >= 0).all()
    return [set(hashes[owners == n].tolist()) for n in range(len(documents))]


def drawn(chance: random.Random) -> str:
    alphabet = ["a", "b", "B", " ", " ", ",", "é", "1", "\n", "東", "'"]
    return "".join(chance.choices(alphabet, k=chance.randrange(40)))


@pytest.mark.parametrize("words", [1, 2, 5])
@pytest.mark.parametrize("piece", [7, 1 << 18])
def test_shingles_are_equal_where_the_words_are(
    words: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shingles, "PIECE_BYTES", piece)
    shingles._powers.cache_clear()
    chance = random.Random(words)
    documents = [drawn(chance) for _ in range(300)] + ["", "a", "A b", "x " * 30]
    if piece < 50:  # words are not longer than a piece
        documents = [re.sub(r"(\w\w)(?=\w)", r"\1 ", document) for document in documents]
    expected = [of_words(document, words) for document in documents]
    found = made(documents, words)
    shingles._powers.cache_clear()
    assert [len(one) for one in found] == [len(one) for one in expected]
    by_words: dict[tuple[str, ...], int] = {}
    for texts, hashes in zip(expected, found, strict=True):
        assert {by_words.setdefault(one, 0) for one in texts} <= {0} | hashes
        if len(texts) == 1:
            (one,), (value,) = texts, hashes
            assert by_words[one] in (0, value)
            by_words[one] = value
    assert len({v for v in by_words.values() if v}) == sum(map(bool, by_words.values()))
    for first, second in zip(range(0, 300, 2), range(1, 300, 2), strict=True):
        assert len(found[first] & found[second]) == len(expected[first] & expected[second])


def test_the_end_of_text_between_documents_is_no_word() -> None:
    assert made(["a b c", "a b c"], 2) == made(["a b c", "a b c"], 2, gap=1)


def test_a_shingle_does_not_reach_into_the_next_document() -> None:
    both, alone = made(["a b c d", "e f g h"], 3), made(["a b c d"], 3)
    assert len(both[0]) == len(both[1]) == 2 and both[0] == alone[0]


def test_no_documents_have_no_shingles() -> None:
    hashes, owners = shingles_of(np.zeros(0, np.uint8), np.zeros(0, np.int64), GAP)
    assert len(hashes) == len(owners) == 0
