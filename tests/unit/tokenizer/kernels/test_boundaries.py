"""The scanner, the special tokens and the cuts against ``regex``, byte for byte."""

from __future__ import annotations

import itertools
import random
import re
import sys

import numpy as np
import pytest
import regex

from lmlab.tokenizer.buffers import address
from lmlab.tokenizer.kernels import classes, kinds
from lmlab.tokenizer.kernels.library import load
from lmlab.tokenizer.kernels.specials import pack

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


def test_classes_are_those_of_regex() -> None:
    assert classes.table_of_regex() == classes.TABLE
    assert regex.__version__ == classes.MADE_BY_REGEX, "where the table is the same: name it too"


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("pieces", [PIECES, PIECES + MALFORMED, MALFORMED])
def test_random_text_is_cut_as_regex_cuts_it(pattern: str, pieces: list[bytes]) -> None:
    chance = random.Random(7)
    for _ in range(700):
        data = random_data(chance, pieces)
        assert scanned(pattern, data) == expected(pattern, data), data


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_code_point_alone_and_between_others(pattern: str) -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    for template in ("a{}b", " {}'s", "1{}\n "):
        for first in range(0, len(every), 60_000):
            data = "".join(map(template.format, every[first : first + 60_000])).encode()
            assert scanned(pattern, data, capacity=4096) == expected(pattern, data)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_place_in_a_block_of_64_bytes(pattern: str) -> None:
    for core in (b"'ll", b"'s", b"  x", b"\r\n\r\nx", "\u3000\u3000x".encode(), "😀've".encode()):
        for before, after in itertools.product(range(58, 70), (b"", b"x", b" ", b"'s", b"\xe6")):
            data = b"x" * before + core + after
            assert scanned(pattern, data) == expected(pattern, data), data


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_stands_around_a_segment_plays_no_part(pattern: str) -> None:
    chance = random.Random(3)
    for _ in range(200):
        data = random_data(chance, PIECES + MALFORMED)
        shift = chance.randint(0, 70)
        whole = b"x" * shift + data
        found = scanned(pattern, whole, start=shift)
        assert found == [shift + end for end in expected(pattern, data)], data


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_first_malformed_byte_is_told(pattern: str) -> None:
    chance = random.Random(5)
    for _ in range(500):
        data = random_data(chance, PIECES + MALFORMED)
        text = np.frombuffer(data + PADDING, dtype=np.uint8)
        state, ends = np.zeros(16, dtype=np.uint64), np.zeros(4096, dtype=np.int64)
        arrays = [address(array) for array in (classes.class_table(), state, ends)]
        kernels()["boundaries"](kinds.KINDS[pattern], address(text), 0, len(data), *arrays, 4096, 0)
        try:
            data.decode("utf-8")
            assert state[1] == 0
        except UnicodeDecodeError as error:
            assert int(state[1]) == error.start + 1, data


SPECIALS = [b"<|x|><|x|>", b"<|x|> y", b"<|x|>", "東".encode(), b"a b", b"1"]


def as_pieces(pattern: str, data: bytes, tokens: list[bytes]) -> list[bytes]:
    """The obvious way: split at special tokens, longest first, then scan by ``regex``."""
    found: list[bytes] = []
    parts = re.split(b"(" + b"|".join(map(re.escape, tokens)) + b")", data) if tokens else [data]
    for place, part in enumerate(parts):
        if place % 2:
            found.append(part)
        else:
            ends = expected(pattern, part)
            found += [part[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    return found


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("tokens", [[], SPECIALS[:3], SPECIALS])
def test_a_text_may_be_cut_where_it_is_said(pattern: str, tokens: list[bytes]) -> None:
    chance = random.Random(11)
    numbers, flags = pack(tokens)
    cuts = 0
    for _ in range(600):
        data = random_data(chance, PIECES + SPECIALS + [b"<|", b"x|>"] + MALFORMED[:2])
        known = chance.randint(0, len(data))
        text = np.frombuffer(data[:known] + PADDING, dtype=np.uint8)
        arrays = [address(array) for array in (classes.class_table(), numbers, flags)]
        place = kernels()["cut"](address(text), 0, known, *arrays)
        if place < 0:
            continue
        cuts += 1
        assert 0 < place < known
        whole = as_pieces(pattern, data, tokens)
        parts = [*as_pieces(pattern, data[:place], tokens)]
        parts += as_pieces(pattern, data[place:], tokens)
        assert parts == whole, (data, place)
    assert cuts > 300


@pytest.mark.parametrize("tokens", [SPECIALS[:3], SPECIALS])
def test_special_tokens_are_found_leftmost(tokens: list[bytes]) -> None:
    chance = random.Random(2)
    numbers, flags = pack(tokens)
    search = re.compile(b"|".join(map(re.escape, tokens))).search
    for _ in range(500):
        data = random_data(chance, [*PIECES, *SPECIALS, b"<", b"<|", b"x|>"])
        text = np.frombuffer(data + PADDING, dtype=np.uint8)
        place = kernels()["special"](address(text), 0, len(data), address(numbers), address(flags))
        found = search(data)
        assert place == (found.start() if found else len(data)), data
