"""Matching 64 bytes at a time gives the pre-tokens of ``regex``."""

from __future__ import annotations

import itertools

import pytest
from kernel_scanning import PATTERNS, expected, scanned

from lmlab.tokenizer.kernels import kinds


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_offset_in_a_block_of_64_bytes_gives_the_same_pieces(pattern: str) -> None:
    for core in (b"'ll", b"'s", b"  x", b"\r\n\r\nx", "\u3000\u3000x".encode(), "😀've".encode()):
        for before, after in itertools.product(range(58, 70), (b"", b"x", b" ", b"'s", b"\xe6")):
            data = b"x" * before + core + after
            assert scanned(pattern, data) == expected(pattern, data), data


@pytest.mark.parametrize("before", [0, 61, 62])
def test_every_short_text_is_split_as_by_regex(before: int) -> None:
    """Also across the border of two blocks."""
    for signs in itertools.product("'ls1 \n.é", repeat=4):
        data = b"x" * before + "".join(signs).encode()
        assert scanned(kinds.GPT2_PATTERN, data) == expected(kinds.GPT2_PATTERN, data), data
