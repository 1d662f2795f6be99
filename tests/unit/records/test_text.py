"""Text of files: what is read as it stands, what has documents, and pipes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from record_files import DOCUMENTS, json_lines, parquet_by_pyarrow

from lmlab.errors import DataError, TextChangedError
from lmlab.records.document_hash import HeldOut
from lmlab.records.text import Text, is_pipe


def write(folder: Path, data: bytes, name: str = "text") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_plain_text_is_read_as_it_stands_unless_a_rule_says_otherwise(tmp_path: Path) -> None:
    plain, records = write(tmp_path, b"a", "1"), write(tmp_path, json_lines(DOCUMENTS), "2")
    cases: list[tuple[dict[str, object], bool, bool]] = [
        ({}, True, False),
        ({"documents": "line"}, False, False),
        ({"documents": "file"}, False, True),
        ({"held_out": HeldOut(0.1, True)}, False, False),
    ]
    for rules, stands, is_one in cases:
        text = Text((), **rules).with_files([plain, records])
        assert [text.is_as_it_stands(file) for file in text.files] == [stands, False]
        assert [text.is_one_document(file) for file in text.files] == [is_one, False]
        assert text.has_documents()
    assert not Text.of(plain).has_documents()
    assert Text.of(plain).size() == 1


def test_messages_name_the_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.train=.*none cannot be read: No such file"):
        Text((), key="data.train").with_files([tmp_path / "none"])


def test_a_change_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, b"a")
    text = Text.of(path)
    state = text.state(text.files[0])
    text.check_unchanged(text.files[0], state)
    path.write_bytes(b"ab")
    with pytest.raises(TextChangedError):
        text.check_unchanged(text.files[0], state)


def test_a_pipe_is_recognized_and_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = json_lines(DOCUMENTS)
    writer = threading.Thread(target=lambda: path.write_bytes(data), daemon=True)
    writer.start()
    text = Text.of(path)
    assert is_pipe(path) and text.files[0].kind.layout == "json lines"
    rows = list(text.read_documents(text.files[0], b"|"))
    found = [bytes(one).decode() for block in rows for one in block.read().pieces(b"|")]
    writer.join(10)
    assert found == DOCUMENTS
    assert text.has_pipe() and text.size() == 0


def test_what_cannot_be_read_in_order_is_refused_in_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = parquet_by_pyarrow(DOCUMENTS)
    threading.Thread(target=lambda: path.write_bytes(data), daemon=True).start()
    with pytest.raises(DataError, match="found parquet in a pipe"):
        Text.of(path)
