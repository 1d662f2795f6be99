"""Values of JSON: read as ``json`` reads them, or not at all."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from raw_row_cases import MARKER, by_kernel, lines_of, random_line, random_text


def test_strings_are_read_at_every_place_of_a_block(tmp_path: Path) -> None:
    """Characters and escapes go on after the 64 bytes that are read at once."""
    for piece in ["é", "東", "😀", "\n", '"', "\\", "|", "\u0001", "end"]:
        texts = ["x" * before + piece + "y" * (before % 3) for before in range(140)]
        data = "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts)
        data += "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (rows,) = lines_of(data.encode(), tmp_path)
        found = by_kernel(rows)
        assert found is not None
        assert [bytes(one).decode() for one in found.pieces(MARKER)][1:] == texts * 2


@pytest.mark.parametrize(
    "line",
    [
        b'{"text": "a", "text": "b"}',
        b'{"te\\u0078t": "a"}',
        b'{"text": "a", "te\\u0078t": "b"}',
        b'{"other": "a"}',
        b"{}",
        b'{"text": 1}',
        b'{"text": ["a"]}',
        b'{"text": "a"',
        b'{"text": "a',
        b'{"text": "a\\',
        b'{"text": "a\\"',
        b'{"text": "a\\u12',
        b'{"text": "a\\x"}',
        b'{"text": "a\\u00zz"}',
        b'{"text": "\\ud83d"}',
        b'{"text": "\\ude00\\ud83d"}',
        b'{"text": "\\ud83d\\u0041"}',
        b'{"text": "\\ud83d\\n"}',
        b'{"text": "\xff"}',
        b'{"text": "' + b"x" * 60 + b'\xe6\x9d"}',
        b'{"text": "\xed\xa0\x80"}',
        b'{"text": "\xc0\xaf"}',
        b'{"text": "tab\there"}',
        b'{"text": "nul\x00here"}',
        b'{"text": "a"},',
        b'{"text": "a"} {"text": "b"}',
        b'{"text": "a",}',
        b'{,"text": "a"}',
        b'{"text" "a"}',
        b'{"text": "a" "b": 1}',
        b'{"text": "a", "b": 01}',
        b'{"text": "a", "b": 1.}',
        b'{"text": "a", "b": .5}',
        b'{"text": "a", "b": -}',
        b'{"text": "a", "b": 1e}',
        b'{"text": "a", "b": +1}',
        b'{"text": "a", "b": nul}',
        b'{"text": "a", "b": tru}',
        b'{"text": "a", "b": NaN}',
        b'{"text": "a", "b": [1,]}',
        b'{"text": "a", "b": [1}',
        b'{"text": "a", "b": {"c"}}',
        b'{"text": "a", "b": {"c": 1]}',
        b'{"text": "a", "b": "\xff"}',
        b'{"text": "a", "b": "\\ud83d"}',
        b'{"text": "a", b: 1}',
        b'{"text": "a", "b": ' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"text": "a", "' + b"n" * 80 + b'": 1}',
        b"[]",
        b'"text"',
        b"\x0b",
        b'{"text":\n"a"}',
    ],
)
def test_unusual_lines_are_left_to_python(line: bytes, tmp_path: Path) -> None:
    for data in (line, line + b"\n", line + b'\n{"text": "after"}\n'):
        (rows,) = lines_of(data, tmp_path)
        assert by_kernel(rows) is None


@pytest.mark.parametrize("seed", range(10))
def test_what_is_read_of_damaged_lines_is_valid(seed: int, tmp_path: Path) -> None:
    """Whatever bytes change: if kernels read a line at all, then as ``json`` does."""
    chance = random.Random(100 + seed)
    num_read = num_left = 0
    for _ in range(200):
        line = bytearray(random_line(chance, random_text(chance)).encode())
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(line))
            change = chance.choice([b"", bytes([chance.randrange(256)]), b'"', b"\\", b"}", b","])
            line[place : place + chance.randint(0, 2)] = change
        (rows,) = lines_of(bytes(line), tmp_path)
        found = by_kernel(rows)
        if found is None:
            num_left += 1
            continue
        num_read += 1
        values = [
            dict(json.loads(one.decode())).get("text")
            for one in bytes(line).split(b"\n")
            if one.strip()
        ]
        expected = [value.encode() for value in values if value]
        assert [bytes(one) for one in found.pieces(MARKER)] == [b"first", *expected], line
    assert num_read > 10 and num_left > 60
