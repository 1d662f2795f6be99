"""Files are recognized by their first bytes; what is not read is named with what to do."""

from __future__ import annotations

import io
import json
import pickle
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from record_files import DOCUMENTS, forms

from lmlab.errors import DataError
from lmlab.records.byte_stream import ByteStream
from lmlab.records.file_kind import refuse_nul


def kind_of(data: bytes, folder: Path) -> tuple[str, str]:
    path = folder / "file.odd"
    path.write_bytes(data)
    stream = ByteStream(path, f"data.train={path}")
    stream.close()
    return tuple(stream.kind)


def test_each_form_is_recognized_whatever_its_name(tmp_path: Path) -> None:
    compressions = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd"}
    for name, data in forms(DOCUMENTS, tmp_path).items():
        compression = compressions.get(name.split()[-1], "") if "parquet" not in name else ""
        layout = next(one for one in ("json lines", "parquet", "plain") if name.startswith(one))
        assert kind_of(data, tmp_path) == (compression, layout), name


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "{", "{braces} in text\n", "[a note]\nmore", '{"a": 1} and\n', "BZh99 is a word",
     "PKZIP was a program", '["a", "list"]\n', "\ufeffwith a mark"],
)  # fmt: skip
def test_text_that_resembles_something_else_is_plain(text: str, tmp_path: Path) -> None:
    assert kind_of(text.encode(), tmp_path) == ("", "plain")


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.txt"), io.BytesIO(b""))
    return out.getvalue()


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a.txt", "text")
    return out.getvalue()


def array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.arange(9))
    return out.getvalue()


def database(folder: Path) -> bytes:
    path = folder / "a.db"
    connection = sqlite3.connect(path)
    connection.execute("create table a (b)")
    connection.commit()
    connection.close()
    return path.read_bytes()


RECORDS = json.dumps([{"text": "a"}, {"text": "b"}], indent=1).encode()
UNREAD = {
    "tar archive": tar(),
    "zip archive": archive(),
    "NumPy array": array(),
    "Python pickle": pickle.dumps({"a": 1}),
    "UTF-16": "text".encode("utf-16"),
    "UTF-32": "text".encode("utf-32"),
    "llm.c's token ids": np.array([20240520, 1, 9], dtype="<i4").tobytes() + bytes(1012),
    "Megatron's index": b"MMIDIDX\x00\x00" + bytes(40),
    "one JSON value over several lines": RECORDS,
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_not_read_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        kind_of(UNREAD[name], tmp_path)
    message, _, help = str(raised.value).partition("\nhelp: ")
    assert message.startswith("data.train=")
    assert name in message and help


def test_a_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="an SQLite database"):
        kind_of(database(tmp_path), tmp_path)


def test_one_object_over_several_lines_is_not_taken_for_lines(tmp_path: Path) -> None:
    data = json.dumps({"text": "a", "more": [1]}, indent=2).encode()
    with pytest.raises(DataError, match="one JSON value over several lines"):
        kind_of(data, tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.arange(65, dtype="<u2").tobytes(), "16-bit values, token ids or UTF-16LE"),
        ("plain words".encode("utf-16-be"), "UTF-16BE"),
        (b"a text with \x00 in it", r"offset 112: a binary file"),
    ],
)
def test_zero_bytes_are_refused(data: bytes, said: str) -> None:
    """The ids of a character vocabulary are valid UTF-8."""
    data.decode("utf-8")
    with pytest.raises(DataError, match=said):
        refuse_nul(data, "a.bin", 100)


def test_zero_bytes_are_refused_when_a_file_is_recognized(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.train=.*: expected text, found a NUL byte"):
        kind_of(np.arange(65, dtype="<u2").tobytes(), tmp_path)


def test_the_first_line_of_records_may_be_long(tmp_path: Path) -> None:
    line = json.dumps({"text": "word " * 200_000}).encode()
    assert kind_of(line + b"\n" + line, tmp_path) == ("", "json lines")
