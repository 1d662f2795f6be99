"""Rows that kernels read, beside what Python reads."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.records.byte_stream import ByteStream
from lmlab.records.documents import Documents, Rows
from lmlab.records.json_lines import read_json_lines
from lmlab.tokenizer.buffers import PADDING, Memory
from lmlab.tokenizer.kernels.library import load
from lmlab.tokenizer.raw_rows import ROWS, read_raw, space_of

MARKER = b"|end|"
BEFORE = 3  # bytes of the buffer before the documents
PIECES = [
    "a", "text", " ", "é", "東", "😀", "\u2028", "\ud7ff", "\ue000", "\uffff", "\x7f", "\u0080",
    "\\", '"', "/", "|", "\n", "\r\n", "\t", "\b", "\f", "\x00", "\x1f", "<|endoftext|>", "{", "}",
    "x" * 61, "y" * 62, "z" * 63, "w" * 64, "|" + "v" * 65, "null",
]  # fmt: skip
VALUES: list[Any] = [
    0, -0.0, 12, -3, 1.5, 1e300, 2e-7, True, False, None, "", "text", "a|b", [], {}, [1, [2, {}]],
    {"text": "inner"}, {"a": [None, {"b": "}]"}]}, "é😀", "x" * 70,
]  # fmt: skip


def by_kernel(rows: Rows) -> Documents | None:
    """Documents in a buffer whose bytes before and after must not change."""
    kernels = load(ROWS)
    assert kernels is not None and rows.raw is not None
    space = space_of(rows.raw, MARKER)
    buffer = Memory(BEFORE + space + PADDING)
    buffer.view[:] = b"\xee" * len(buffer)
    found = read_raw(rows, MARKER, buffer, BEFORE, kernels[rows.raw.kernel])
    assert bytes(buffer.view[:BEFORE]) == b"\xee" * BEFORE
    assert bytes(buffer.view[BEFORE + space :]) == b"\xee" * PADDING
    return found


def lines_of(data: bytes, folder: Path, block: int = 1 << 20) -> Iterator[Rows]:
    path = folder / "lines"
    path.write_bytes(b'{"text": "first"}\n' + data)  # so that it is taken for JSON lines
    return read_json_lines(ByteStream(path, "lines"), "text", MARKER, block)


def assert_equal(found: Documents, expected: Documents) -> None:
    assert bytes(found.text) == bytes(expected.text)
    assert list(found.lengths()) == list(expected.lengths())
    # Then those without documents, which are counted.
    assert found[1:2] + found[3:6] == expected[1:2] + expected[3:6]
    bars = b"|" in b"".join(expected.pieces(MARKER))
    assert found.has_bars == bars


def random_text(chance: random.Random) -> str:
    return "".join(chance.choices(PIECES, k=chance.randint(0, 6)))


def escaped(chance: random.Random, text: str) -> str:
    """A string of JSON, in which any character may be escaped."""
    units = json.dumps(text, ensure_ascii=False)[1:-1]
    if chance.random() < 0.3:
        units = json.dumps(text)[1:-1]
    if chance.random() < 0.3:
        units = "".join(
            "".join(f"\\u{code:04{chance.choice('xX')}}" for code in utf16(one)) for one in text
        )
    return f'"{units}"'


def utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be")
    return [int.from_bytes(data[start : start + 2], "big") for start in range(0, len(data), 2)]


def random_line(chance: random.Random, text: str | None) -> str:
    members = [
        f'"{name}"{blank(chance)}:{blank(chance)}{json.dumps(chance.choice(VALUES))}'
        for name in chance.sample(["id", "texts", "tex", "meta", "é", "t" * 62], k=2)
    ]
    value = "null" if text is None else escaped(chance, text)
    members.insert(chance.randint(0, 2), f'"text"{blank(chance)}:{blank(chance)}{value}')
    inner = f"{blank(chance)},{blank(chance)}".join(members)
    return f"{blank(chance)}{{{blank(chance)}{inner}{blank(chance)}}}{blank(chance)}"


def blank(chance: random.Random) -> str:
    return "".join(chance.choices(" \t\r", k=chance.choice([0, 0, 0, 1, 3])))
