"""Kernels write the documents that Python reads, and count the same rows without one."""

from __future__ import annotations

import json
import random
from array import array as array_of_integers
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from raw_row_cases import MARKER, assert_equal, by_kernel, lines_of, random_line, random_text

from lmlab.records.arrow import _raw, read_arrow
from lmlab.records.byte_stream import ByteStream
from lmlab.records.documents import Documents, Rows
from lmlab.records.json_lines import read_json_lines


@pytest.mark.parametrize("seed", range(20))
def test_lines_are_read_as_python_reads_them(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    texts = [None if chance.random() < 0.1 else random_text(chance) for _ in range(60)]
    ends = chance.choices(["\n", "\r\n", "\n\n \t\n"], k=len(texts))
    lines = [random_line(chance, text) + end for text, end in zip(texts, ends, strict=True)]
    data = "".join(lines).encode()
    data = data.rstrip(b"\r\n\t ") if seed % 2 else data
    every: list[bytes] = []
    for rows in lines_of(data, tmp_path, chance.choice([100, 1000, 1 << 20])):
        found = by_kernel(rows)
        assert found is not None
        assert_equal(found, rows.read())
        every += map(bytes, found.pieces(MARKER))
    assert every == [b"first", *(text.encode() for text in texts if text)]


def test_names_that_json_escapes_are_left_to_python(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for column, is_plain in [("téxt/s", True), ('te"xt', False), ("te\\xt", False), ("\n", False)]:
        path.write_text(json.dumps({"text": 1, column: "a"}, ensure_ascii=False))
        (rows,) = read_json_lines(ByteStream(path, "lines"), column, MARKER)
        assert (rows.raw is not None) == is_plain
        assert bytes(rows.read().text) == b"a" + MARKER
        if is_plain:
            found = by_kernel(rows)
            assert found is not None
            assert_equal(found, rows.read())


def arrays(chance: random.Random, kind: Any) -> Iterator[Any]:
    """Arrays of strings as writers make them, and slices of them."""
    for _ in range(12):
        texts = [
            None if chance.random() < 0.2 else random_text(chance)
            for _ in range(chance.randint(1, 40))
        ]
        array = pyarrow.array(texts, kind)
        yield array
        start = chance.randrange(len(texts))
        yield array.slice(start, chance.randint(1, len(texts) - start))
    yield pyarrow.array(["", None, ""], kind)
    yield pyarrow.array([None], kind)
    yield pyarrow.array(["x" * size for size in range(200)], kind)
    yield pyarrow.array([("x" * size + "|").ljust(99, "y") for size in range(99)], kind)


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary", "string_view"])
def test_strings_of_arrow_are_read_as_python_reads_them(kind: str, tmp_path: Path) -> None:
    arrow: Any = pyarrow
    if kind == "dictionary":
        type_ = arrow.dictionary(arrow.int32(), arrow.string())
    else:
        type_ = getattr(arrow, kind)()
    for array in arrays(random.Random(5), type_):
        path = tmp_path / "strings.arrow"
        batch = arrow.record_batch([array], ["text"])
        with arrow.OSFile(str(path), "wb") as file, arrow.ipc.new_file(file, batch.schema) as out:
            out.write_batch(batch)
        texts = [text.encode() for text in array.to_pylist() if text]
        found_texts: list[bytes] = []
        for rows in read_arrow(path, "text", MARKER, "strings"):
            found = by_kernel(rows)
            assert found is not None
            assert_equal(found, rows.read())
            found_texts += map(bytes, found.pieces(MARKER))
        assert found_texts == texts


@pytest.mark.parametrize("width", [4, 8])
def test_strings_of_a_damaged_file_are_not_read(width: int) -> None:
    """Memory outside the text is neither read nor written."""
    kind: Any = pyarrow.string() if width == 4 else pyarrow.large_string()
    text = pyarrow.py_buffer(b"x" * 100)
    for ends, is_read in [
        ([0, 10, 100], True),
        ([0, 90, 10, 100], False),
        ([0, 5_000_000, 100], False),
        ([0, -5, 100], False),
    ]:
        offsets = pyarrow.py_buffer(array_of_integers("i" if width == 4 else "q", ends).tobytes())
        array = pyarrow.Array.from_buffers(kind, len(ends) - 1, [None, offsets, text])
        raw = _raw(array, 0, 100)
        assert raw is not None
        rows = Rows(0, 100, 0, lambda: Documents(b"", 0, list, 0), raw)
        assert (by_kernel(rows) is not None) == is_read
        assert _raw(array, -1, 100) is _raw(array, 0, 101) is _raw(array, 20, 10) is None
