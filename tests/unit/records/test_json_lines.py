"""JSON lines: only a line feed ends a line, and a mistake is reported with its line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from record_files import DOCUMENTS, json_lines

from lmlab.errors import DataError
from lmlab.records.byte_stream import ByteStream
from lmlab.records.documents import Documents
from lmlab.records.json_lines import read_json_lines

MARKER = b"|E|"


def blocks(data: bytes, folder: Path, column: str = "text", size: int = 1 << 20) -> list[Documents]:
    path = folder / "rows"
    path.write_bytes(data)
    stream = ByteStream(path, "data.train=rows")
    return [rows.read() for rows in read_json_lines(stream, column, MARKER, size)]


def texts(found: list[Documents]) -> list[str]:
    return [bytes(one).decode() for block in found for one in block.pieces(MARKER)]


@pytest.mark.parametrize("size", [7, 100, 1 << 20])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_documents_are_read(size: int, mark: bytes, end: bytes, tmp_path: Path) -> None:
    raw = [json.dumps({"text": text}, ensure_ascii=False) for text in DOCUMENTS]
    data = mark + (end or b"\n").join(line.encode() for line in raw) + end
    found = blocks(data, tmp_path, size=size)
    assert texts(found) == DOCUMENTS
    assert sum(block.num_documents for block in found) == len(DOCUMENTS)


def test_empty_and_null_rows_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"text": None}, {"text": ""}, {"text": "b"}]
    data = "\n\n".join(map(json.dumps, rows)).encode()
    (found,) = [block for block in blocks(data, tmp_path)][-1:]
    every = blocks(data, tmp_path)
    assert texts(every) == ["a", "b"]
    assert sum(block.num_empty for block in every) == 1
    assert sum(block.num_null for block in every) == 1
    assert found.rows == 7  # lines, blank ones included


def test_columns_may_be_nested_and_have_dots(tmp_path: Path) -> None:
    row = {"text": 1, "meta": {"raw.text": "inner", "deep": {"er": "deepest"}}, "a.b": "dotted"}
    data = json.dumps(row).encode() + b"\n"
    assert texts(blocks(data, tmp_path, "meta.raw.text")) == ["inner"]
    assert texts(blocks(data, tmp_path, "meta.deep.er")) == ["deepest"]
    assert texts(blocks(data, tmp_path, "a.b")) == ["dotted"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"texte": "a"}', 'no column text; it has texte\nhelp: did you mean "texte"'),
        (b'{"text": 5}', "text: expected a string, found int"),
        (b'{"text": "a"', "expected a JSON object in UTF-8"),
        (b'{"text": "\\ud83d"}', "expected a JSON object in UTF-8"),
        (b'{"text": "\xff"}', "expected a JSON object in UTF-8"),
        (b"[1]", "expected a JSON object, found list"),
    ],
)
def test_a_mistake_is_reported_with_its_line(line: bytes, said: str, tmp_path: Path) -> None:
    data = json_lines(DOCUMENTS) + b"\n" + line + b"\n"
    number = len(DOCUMENTS) + 2
    with pytest.raises(DataError, match=re.escape(f"data.train=rows: line {number}: {said}")):
        blocks(data, tmp_path, size=50)
