"""Matching by character gives the pre-tokens of ``regex`` for both patterns of cl100k."""

from __future__ import annotations

import itertools

import pytest
from kernel_scanning import expected, scanned

from lmlab.tokenizer.kernels.kinds import CL100K_ENDING_PATTERN, CL100K_PATTERN

# One of each class and sign that the patterns name, and the letters of contractions.
SIGNS = ["'", "s", "L", "l", "1", " ", "\n", ".", "é"]


@pytest.mark.parametrize("pattern", [CL100K_PATTERN, CL100K_ENDING_PATTERN])
def test_every_short_text_is_split_as_regex_splits_it(pattern: str) -> None:
    for length in range(1, 5):
        for signs in itertools.product(SIGNS, repeat=length):
            data = "".join(signs).encode()
            assert scanned(pattern, data) == expected(pattern, data), data


@pytest.mark.parametrize("pattern", [CL100K_PATTERN, CL100K_ENDING_PATTERN])
@pytest.mark.parametrize(
    "text", ["1234567", "x'LL'Re'vE'd", "'ſ'S", "a \r\n\n  b \n ", ".\r\n\r\n"]
)
def test_numbers_contractions_and_line_ends(pattern: str, text: str) -> None:
    assert scanned(pattern, text.encode()) == expected(pattern, text.encode())
