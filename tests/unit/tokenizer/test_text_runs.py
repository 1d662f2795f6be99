"""Text as strings for code in Python, and its ids."""

from __future__ import annotations

from pathlib import Path

import pytest
from record_files import DOCUMENTS, json_lines

from lmlab.errors import DataError
from lmlab.records.text import Text
from lmlab.records.text_hash import TextHash
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.text_parts import TextParts
from lmlab.tokenizer.text_runs import EncodedRuns, TextRuns

END = "<|endoftext|>"


def runs(text: Text, part_bytes: int) -> list[tuple[str, bool, bool]]:
    parts = TextParts(text, END.encode(), None, part_bytes=part_bytes)
    return [("".join(run.strings), run.is_plain, run.ends) for run in TextRuns(parts, END.encode())]


@pytest.mark.parametrize("part_bytes", [1, 2, 3, 10, 1000])
def test_plain_files_and_documents_are_runs(part_bytes: int, tmp_path: Path) -> None:
    plain, rows = tmp_path / "plain", tmp_path / "rows"
    plain.write_text("東京 é😀" * 3)
    rows.write_bytes(json_lines(DOCUMENTS))
    found = runs(Text.of([plain, rows, plain]), part_bytes)
    documents = [(text, True, True) for text in DOCUMENTS]
    assert found == [
        ("東京 é😀" * 3 + END, False, False),
        *documents,
        ("東京 é😀" * 3, False, False),
    ]
    one = Text((), documents="file").with_files([plain])
    assert runs(one, part_bytes) == [("東京 é😀" * 3, True, True)]


@pytest.mark.parametrize("part_bytes", [1, 2, 1000])
def test_malformed_text_is_reported_with_its_place(part_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes("héé".encode() + b"\xc3(")
    with pytest.raises(DataError, match="malformed at byte offset 5"):
        runs(Text.of(path), part_bytes)


def test_ids_and_ends_are_told_apart(tmp_path: Path) -> None:
    tokenizer = Tokenizer({n: bytes([n]) for n in range(256)}, [], [END])
    path = tmp_path / "rows"
    path.write_bytes(json_lines(["ab", f"c{END}"]))
    found = list(EncodedRuns(Text.of(path), tokenizer, TextHash()))
    assert found == [([97, 98], 0), ([256], 1), ([99, *END.encode()], 0), ([256], 1)]
