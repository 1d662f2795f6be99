"""The scanning kernel, and what ``regex`` says on the same text."""

from __future__ import annotations

import itertools
import random

import numpy as np
import regex

from lmlab.tokenizer.buffers import address
from lmlab.tokenizer.kernels import classes, kinds
from lmlab.tokenizer.kernels.library import load

PATTERNS = list(kinds.KINDS)


PIECES = [
    piece.encode()
    for piece in (
        "a", "b", "low", "the", " ", "  ", "   ", "\n", "\r\n", "\r", "\t", "'", "''", "'l", "l",
        "'ll", "'s", "'ve", "'re", "'RE", "'S", "'ſ", "ſ", "s", "1", "23", "456789", "é", "東",
        "😀", "\u00a0", "\u3000", "\u2028", "\u1680", "\x85", "\x1c", "\u200b", "\u200d",
        "e\u0301", ".", "!?", "²", "Ⅳ", "𝟘", "\U0001e900", "’", "\x00", "مر", "של",
    )
]  # fmt: skip


MALFORMED = [bytes([byte]) for byte in b"\x80\xbf\xc0\xc2\xe0\xe2\xe3\xed\xa0\xf0\x9f\xf4\x90\xff"]


PADDING = b"s" * 64


def kernels() -> dict:
    found = load("boundaries")
    assert found is not None
    return found


def scanned(pattern: str, data: bytes, *, capacity: int = 256, start: int = 0) -> list[int]:
    text = np.frombuffer(data + PADDING, dtype=np.uint8)
    state, ends = np.zeros(16, dtype=np.uint64), np.zeros(capacity, dtype=np.int64)
    arrays = [address(array) for array in (classes.class_table(), state, ends)]
    found: list[int] = []
    resumed = 0
    while not (resumed and state[0]):
        count = kernels()["boundaries"](
            kinds.KINDS[pattern], address(text), start, len(data), *arrays, capacity, resumed
        )
        found += ends[:count].tolist()
        resumed = 1
    return found


def expected(pattern: str, data: bytes) -> list[int]:
    words = regex.findall(pattern, data.decode("utf-8", "surrogateescape"))
    assert "".join(words).encode("utf-8", "surrogateescape") == data
    lengths = [len(word.encode("utf-8", "surrogateescape")) for word in words]
    return list(itertools.accumulate(lengths))


def random_data(chance: random.Random, pieces: list[bytes]) -> bytes:
    few = chance.sample(pieces, chance.randint(2, len(pieces)))
    return b"".join(chance.choice(few) for _ in range(chance.choice([1, 4, 20, 60, 300])))
