"""Special tokens and cuts against ``re``, byte for byte."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from kernel_scanning import MALFORMED, PADDING, PATTERNS, PIECES, expected, kernels, random_data

from lmlab.tokenizer.buffers import address
from lmlab.tokenizer.kernels import classes
from lmlab.tokenizer.kernels.specials import pack

SPECIALS = [b"<|x|><|x|>", b"<|x|> y", b"<|x|>", "東".encode(), b"a b", b"1"]


def as_pieces(pattern: str, data: bytes, tokens: list[bytes]) -> list[bytes]:
    """Split at special tokens, longest first, then by ``regex``."""
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
def test_cutting_a_text_at_a_reported_position_changes_no_piece(
    pattern: str, tokens: list[bytes]
) -> None:
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
