"""Documents of JSON lines: one object per line."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from lmlab.errors import DataError
from lmlab.records.byte_stream import ByteStream
from lmlab.records.documents import (
    BLOCK_BYTES,
    Documents,
    columns_of,
    joined,
    nested_value,
    no_such_column,
)

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_json_lines(
    stream: ByteStream, column: str, marker: bytes, block: int = BLOCK_BYTES
) -> Iterator[Documents]:
    """Yield the documents of a file. Only ``\\n`` ends a line: a string may hold U+2028.

    Args:
        stream: of the file.
        column: the name of the text in each object, with dots between nested ones.
        marker: see :class:`~lmlab.records.documents.Documents`.
        block: about as many bytes of the file are read at a time.

    Raises:
        DataError: a line is no JSON object in UTF-8, has no such column, or no string there; the
            message has the number of the line.
    """
    rest: list[bytes] = []
    rows, is_first = 0, True
    for piece in stream.pieces(block):
        if is_first:
            piece, is_first = piece.removeprefix(_BYTE_ORDER_MARK), False
        end = piece.rfind(b"\n") + 1
        if end == 0:
            rest.append(piece)
            continue
        lines = b"".join([*rest, piece[:end]]).split(b"\n")[:-1]
        rest = [piece[end:]]
        found = _documents(lines, rows, column, marker, stream.named)
        yield found._replace(disk_bytes=stream.position())
        rows += len(lines)
    if last := b"".join(rest):
        yield _documents([last], rows, column, marker, stream.named)


def _documents(
    lines: list[bytes], rows: int, column: str, marker: bytes, named: object
) -> Documents:
    texts: list[bytes] = []
    num_empty = num_null = 0
    load = orjson.loads
    for number, line in enumerate(lines, start=rows + 1):
        try:
            text = load(line)[column].encode()
        except Exception:  # the slow way finds out what this line is
            found = _text_of(line, column, f"{named}: line {number}")
            if found is None:
                num_null += bool(line.strip())
                continue
            text = found
        if text:
            texts.append(text)
        else:
            num_empty += 1
    return joined(texts, marker, rows + len(lines), num_empty, num_null)


def _text_of(line: bytes, column: str, place: str) -> bytes | None:
    """The text of a line; None for null and for a line without anything."""
    if not line.strip():
        return None
    try:
        record = orjson.loads(line)
    except ValueError as error:
        raise DataError(
            f"{place}: expected a JSON object in UTF-8 ({error})", "repair or remove this line"
        ) from error
    if not isinstance(record, dict):
        raise DataError(f"{place}: expected a JSON object, found {type(record).__name__}")
    try:
        value = nested_value(record, column)
    except KeyError:
        raise no_such_column(place, column, columns_of(record)) from None
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(
            f"{place}: {column}: expected a string, found {type(value).__name__}",
            "set data.column to the column that holds the text",
        )
    return value.encode()
