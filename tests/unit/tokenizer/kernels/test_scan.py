"""The scanner splits text as ``regex`` does, byte for byte."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
from kernel_scanning import (
    MALFORMED,
    PADDING,
    PATTERNS,
    PIECES,
    expected,
    kernels,
    random_data,
    scanned,
)

from lmlab.tokenizer.buffers import address
from lmlab.tokenizer.kernels import classes, kinds


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("pieces", [PIECES, PIECES + MALFORMED, MALFORMED])
def test_random_text_is_split_as_by_regex(pattern: str, pieces: list[bytes]) -> None:
    chance = random.Random(7)
    for _ in range(700):
        data = random_data(chance, pieces)
        assert scanned(pattern, data) == expected(pattern, data), data


@pytest.mark.long
@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_code_point_alone_and_between_others(pattern: str) -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    for template in ("a{}b", " {}'s", "1{}\n "):
        for first in range(0, len(every), 60_000):
            data = "".join(map(template.format, every[first : first + 60_000])).encode()
            assert scanned(pattern, data, capacity=4096) == expected(pattern, data)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_text_before_a_segment_does_not_matter(pattern: str) -> None:
    chance = random.Random(3)
    for _ in range(200):
        data = random_data(chance, PIECES + MALFORMED)
        shift = chance.randint(0, 70)
        whole = b"x" * shift + data
        found = scanned(pattern, whole, start=shift)
        assert found == [shift + end for end in expected(pattern, data)], data


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_first_malformed_byte_is_reported(pattern: str) -> None:
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
