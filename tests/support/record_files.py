"""The same documents in every form that is read, each written by its own package."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard

END = "<|endoftext|>"
# Blank lines, a raw U+2028, which splits lines in str.splitlines only, and white space at ends.
DOCUMENTS = [
    "Once upon a time.\n\nThe end.", " a line\u2028separator and \"quotes\" ", "naïve 東京 😀",
    "\r\nlow lower lowest\r\n", "x" * 3000, "{not json}", "the the the",
]  # fmt: skip


def plain(documents: Sequence[str]) -> bytes:
    """The plain text that has an end after each document."""
    return "".join(document + END for document in documents).encode()


def json_lines(documents: Sequence[str]) -> bytes:
    rows = (json.dumps({"id": n, "text": text}) for n, text in enumerate(documents))
    return ("\n".join(rows) + "\n").encode()


def zstd_frames(data: bytes) -> bytes:
    """An empty frame, a skippable one, and two with the text."""
    write = zstandard.ZstdCompressor().compress
    skippable = b"\x52\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    half = len(data) // 2
    return write(b"") + skippable + write(data[:half]) + write(data[half:])


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd_frames,
}


def parquet_by_pyarrow(documents: Sequence[str], kind: str = "string", **options: object) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    types = {
        "string": arrow.string(),
        "large_string": arrow.large_string(),
        "dictionary": arrow.dictionary(arrow.int32(), arrow.string()),
    }
    column = arrow.array(list(documents), arrow.string()).cast(types[kind])
    out = io.BytesIO()
    table = arrow.table({"id": list(range(len(documents))), "text": column})
    pyarrow.parquet.write_table(table, out, **options)
    return out.getvalue()


def parquet_by_polars(documents: Sequence[str]) -> bytes:
    polars = pytest.importorskip("polars")
    out = io.BytesIO()
    polars.DataFrame({"text": list(documents)}).write_parquet(out)
    return out.getvalue()


def write_with_duckdb(documents: Sequence[str], path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.execute("create table texts (id integer, text varchar)")
    connection.executemany("insert into texts values (?, ?)", list(enumerate(documents)))
    connection.execute(f"copy (select * from texts order by id) to '{path}' (format parquet)")


def parquet_by_duckdb(documents: Sequence[str], folder: Path) -> bytes:
    path = folder / "duckdb.parquet"
    write_with_duckdb(documents, path)
    return path.read_bytes()


def forms(documents: Sequence[str], folder: Path) -> dict[str, bytes]:
    """The documents in every form that is one file."""
    found = {"plain": plain(documents), "json lines": json_lines(documents)}
    for name, compress in COMPRESSIONS.items():
        found[f"plain {name}"] = compress(plain(documents))
        found[f"json lines {name}"] = compress(json_lines(documents))
    for kind in ("string", "large_string", "dictionary"):
        found[f"parquet {kind}"] = parquet_by_pyarrow(documents, kind, row_group_size=2)
    found["parquet zstd"] = parquet_by_pyarrow(documents, compression="zstd")
    found["parquet by polars"] = parquet_by_polars(documents)
    found["parquet by duckdb"] = parquet_by_duckdb(documents, folder)
    return found
