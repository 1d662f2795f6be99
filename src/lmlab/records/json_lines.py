"""Documents of JSON lines: one object per line."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lmlab.errors import DataError
from lmlab.records.byte_stream import ByteStream
from lmlab.records.documents import (
    BLOCK_BYTES,
    Documents,
    RawRows,
    Rows,
    columns_of,
    count_rare,
    joined,
    nested_value,
    no_such_column,
)

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PADDING = 64  # zero bytes at the end of a block, where kernels stop


def read_json_lines(
    stream: ByteStream, column: str, marker: bytes, block: int = BLOCK_BYTES
) -> Iterator[Rows]:
    """Yield the documents of a file. Only ``\\n`` ends a line: a string may hold U+2028.

    A line that is no JSON object in UTF-8, has no such column, or no string there is an error,
    whose message has the number of the line.

    Args:
        stream: of the file.
        column: the name of the text in each object, with dots between nested names.
        marker: see :class:`~lmlab.records.documents.Documents`.
        block: about as many bytes of the file are read at a time.
    """
    columns = _Columns(column)
    before = 0
    for data in _whole_lines(stream, block):
        size = len(data) - _PADDING
        rows = before + count_rare(data, b"\n") + (not data.endswith(b"\n", 0, size))
        read = functools.partial(
            _documents, memoryview(data)[:size], before, rows, columns, marker, stream.named
        )
        yield Rows(rows, size, stream.position(), read, columns.raw(data, size, rows - before))
        before = rows


def _whole_lines(stream: ByteStream, block: int) -> Iterator[bytearray]:
    """Yield the file in pieces of about ``block`` bytes that end where lines do, and close it.

    Zero bytes follow each piece; see :data:`_PADDING`.
    """
    rest, has_more, is_first = bytearray(), True, True
    with contextlib.closing(stream):
        while has_more:
            capacity = max(block, 2 * len(rest))
            data = bytearray(capacity + _PADDING)
            data[: len(rest)] = rest
            with memoryview(data) as view:
                filled = len(rest) + stream.fill(view[len(rest) : capacity])
            has_more = filled == capacity
            end = data.rfind(b"\n", 0, filled) + 1 if has_more else filled
            rest = data[end:filled]
            if is_first and end:
                is_first = False
                if data.startswith(_BYTE_ORDER_MARK):
                    del data[: len(_BYTE_ORDER_MARK)]
                    end -= len(_BYTE_ORDER_MARK)
            data[end:] = bytes(_PADDING)
            if end:
                yield data


def _documents(
    data: memoryview, before: int, rows: int, columns: _Columns, marker: bytes, named: object
) -> Documents:
    """The documents of whole lines, from line ``before`` + 1 to line ``rows``."""
    values: Sequence[str | bytes | None]
    try:
        values = columns.read(data)
    except Exception:  # the slow way finds the line, and reads what is valid
        lines = bytes(data).split(b"\n")[: rows - before]
        values = [
            _text_of(line, columns.column, f"{named}: line {number}")
            for number, line in enumerate(lines, start=before + 1)
            if line.strip()
        ]
    encoded = [value.encode() if isinstance(value, str) else value for value in values]
    texts = [text for text in encoded if text]
    num_null = encoded.count(None)
    num_empty = len(encoded) - len(texts) - num_null
    return joined(texts, marker, rows, num_empty, num_null)


class _Columns:
    """Reads one column of many lines at once; others are skipped without objects for them."""

    def __init__(self, column: str) -> None:
        self.column = column
        name = column.encode()
        # Kernels compare names as they stand.
        is_plain = not any(byte < 0x20 or byte in b'"\\' for byte in name)
        self._name = ctypes.create_string_buffer(name) if is_plain else None

    def raw(self, data: bytearray, size: int, rows: int) -> RawRows | None:
        """Lines as kernels read them; None for a name that cannot stand in JSON as it is."""
        if self._name is None:
            return None
        lines, name = ctypes.c_char.from_buffer(data), self._name
        arguments = (ctypes.addressof(lines), size, ctypes.addressof(name), len(name) - 1)
        return RawRows("json_strings", arguments, rows, size + _PADDING, (lines, name))

    def read(self, data: memoryview) -> list[str | None]:
        """Return the values. Raises :class:`msgspec.MsgspecError` for any that are no strings."""
        return [row.value for row in self._decode(data)]

    @functools.cached_property
    def _decode(self) -> Callable[[memoryview], list[Any]]:
        import msgspec  # here and below: not needed where kernels read the lines

        row: Any = msgspec.defstruct("Row", [("value", str | None)], rename={"value": self.column})
        return msgspec.json.Decoder(row).decode_lines


def _text_of(line: bytes, column: str, place: str) -> bytes | None:
    """The text of a line; None for null."""
    import msgspec

    try:
        record = msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError) as error:
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
