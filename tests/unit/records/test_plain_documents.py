"""Documents of plain text are those of a split of all of it, in any pieces."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from lmlab.errors import DataError
from lmlab.records import plain_documents
from lmlab.records.byte_stream import ByteStream

MARKER = b"|E|"
PIECES = ["a", "b", "\n", "\n", "\r\n", " ", "<|endoftext|>", "<|endof", "é"]


def by_marker(text: bytes) -> list[bytes]:
    return text.split(b"<|endoftext|>")


def by_line(text: bytes) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in text.split(b"\n")]


def by_blank_line(text: bytes) -> list[bytes]:
    parts = re.split(rb"\r?\n(?:[ \t\r\f\v]*\n)+", text)
    return [part.strip(b"\r\n") for part in parts]


SLOW = {"by_marker": by_marker, "by_line": by_line, "by_blank_line": by_blank_line}


@pytest.mark.parametrize("rule", SLOW)
def test_documents_are_those_of_the_whole_text(rule: str, tmp_path: Path) -> None:
    chance = random.Random(0)
    path = tmp_path / "text"
    for _ in range(300):
        text = "".join(chance.choices(PIECES, k=chance.randrange(1, 60))).encode()
        path.write_bytes(text)
        rule_of = getattr(plain_documents, rule)
        rows = rule_of(ByteStream(path, ""), MARKER, chance.randrange(1, 40))
        blocks = [one.read() for one in rows]
        found = [bytes(one) for block in blocks for one in block.pieces(MARKER)]
        expected = SLOW[rule](text)
        assert found == [one for one in expected if one]
        assert blocks[-1].rows == len(expected)
        assert sum(block.num_empty for block in blocks) == expected.count(b"")
        for block in blocks:
            assert block.text == b"".join(bytes(one) + MARKER for one in block.pieces(MARKER))


def test_white_space_of_any_length_is_one_boundary(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"first\n" + b" \n" * 200_000 + b"second")
    blocks = plain_documents.by_blank_line(ByteStream(path, ""), MARKER, 1 << 16)
    assert [bytes(one) for rows in blocks for one in rows.read().pieces(MARKER)] == [
        b"first",
        b"second",
    ]


@pytest.mark.parametrize("rule", SLOW)
def test_a_zero_byte_is_refused_wherever_it_is(rule: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"a line\n" * 20_000 + b"\x00")
    with pytest.raises(DataError, match="a NUL byte at offset 140000"):
        list(getattr(plain_documents, rule)(ByteStream(path, ""), MARKER, 1000))
