"""A survey counts documents and compares them, and is made once per state of the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from record_files import DOCUMENTS, forms, json_lines, plain

from lmlab.data import text_survey
from lmlab.data.corpus import Corpus
from lmlab.data.text_survey import remembered_survey, survey
from lmlab.errors import DataError
from lmlab.records.document_hash import document_hash
from lmlab.records.text import Text
from lmlab.storage import file_memo

END = "<|endoftext|>"


def write(data: bytes, folder: Path, name: str = "text") -> Text:
    (folder / name).write_bytes(data)
    return Text.of(folder / name)


@pytest.mark.parametrize("part_bytes", [1, 7, 100, 1 << 20])
def test_documents_are_counted_in_every_form(
    part_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_parts = text_survey.TextParts
    monkeypatch.setattr(
        text_survey, "TextParts", lambda *given: plain_parts(*given, part_bytes=part_bytes)
    )
    hashes = {document_hash(text.encode()) for text in DOCUMENTS}
    for name, data in forms(DOCUMENTS, tmp_path).items():
        found: set[bytes] = set()
        text = write(data, tmp_path)
        seen = survey(text, collect=found, known={*list(hashes)[:3], b"another!"})
        assert (seen.num_documents, seen.num_known, found) == (len(DOCUMENTS), 3, hashes), name
        num_bytes = sum(len(text.encode()) for text in DOCUMENTS)
        ends = 0 if text.has_documents() else len(DOCUMENTS)
        assert (seen.num_bytes, seen.num_markers) == (num_bytes + ends * len(END), ends)
        assert seen.text_hash == Corpus("x", text, []).train_hash


def test_the_hash_of_one_plain_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    """Finished runs have it in their identity."""
    text = write(plain(DOCUMENTS), tmp_path)
    assert survey(text).text_hash == Corpus("x", text.paths, []).train_hash


def test_malformed_text_is_reported_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="malformed at byte offset 5"):
        survey(write("héé".encode() + b"\xc3(", tmp_path))


def test_a_text_is_read_once_for_each_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = write(json_lines(DOCUMENTS), tmp_path)
    path, reads = text.paths[0], 0

    def read() -> text_survey.Survey:
        nonlocal reads
        reads += 1
        return survey(text)

    def again() -> text_survey.Survey:
        return remembered_survey(text, tmp_path / "cache", read)

    first = again()
    assert (again(), reads) == (first, 2), "a file that has just changed may change again"
    monkeypatch.setattr(file_memo, "is_settled", lambda state, now: True)
    again()
    assert (again(), again(), reads) == (first, first, 3)
    stat = path.stat()
    path.write_bytes(json_lines([*DOCUMENTS[1:], DOCUMENTS[0]]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert again().text_hash != first.text_hash
    memo = next((tmp_path / "cache" / "texts").iterdir())
    memo.write_text(memo.read_text().replace('"num_documents": 7', '"num_documents": 8'))
    assert again().num_documents == 7, "a damaged file does not count"
