"""Documents in a row, as the text that ends each of them with a marker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lmlab.errors import DataError, suggestion

_RARE, _MANY = 256, 1 << 14  # bytes between two, on average, after so many bytes
BLOCK_BYTES = 1 << 19  # of text, which caches hold; a longer document is a block of its own


class Documents(NamedTuple):
    """Documents in a row of one file, without empty ones.

    Attributes:
        text: the UTF-8 text of each of them, followed by the marker.
        num_documents: how many.
        lengths: returns the bytes of each, without the marker; not needed by most readers.
        rows: rows of the file up to their end, empty and null ones included.
        num_empty: documents without text that were left out.
        num_null: rows without a document.
        is_marked: whether special tokens inside them are special, as in plain text.
        has_bars: whether a vertical bar may be in them, without which none spells an end of text.
    """

    text: bytes | memoryview
    num_documents: int
    lengths: Callable[[], Sequence[int]]
    rows: int
    num_empty: int = 0
    num_null: int = 0
    is_marked: bool = False
    has_bars: bool = True

    def pieces(self, marker: bytes) -> Iterator[memoryview]:
        """Yield the text of each document, without the marker."""
        text, start = memoryview(self.text), 0
        for length in self.lengths():
            yield text[start : start + length]
            start += length + len(marker)


class RawRows(NamedTuple):
    """Rows as they are in memory, for kernels that read them without an object for each.

    Attributes:
        kernel: its name in :mod:`lmlab.tokenizer.kernels.rows`.
        arguments: the arguments that describe the rows: addresses and numbers.
        num_rows: how many documents there are at most.
        num_bytes: how much space they take at most, without what follows each.
        owners: what the addresses are of.
    """

    kernel: str
    arguments: tuple[int, ...]
    num_rows: int
    num_bytes: int
    owners: tuple[object, ...]


class Rows(NamedTuple):
    """Rows of a file in a row, whose documents are read later, perhaps by another thread.

    Attributes:
        rows: rows of the file up to their end.
        num_bytes: their size, about.
        disk_bytes: bytes of the file up to their end, about.
        read: returns their documents. Raises :class:`DataError` where they are not valid.
        raw: the same for kernels; None where there are none for them.
    """

    rows: int
    num_bytes: int
    disk_bytes: int
    read: Callable[[], Documents]
    raw: RawRows | None = None


def joined(
    texts: Sequence[bytes], marker: bytes, rows: int, num_empty: int = 0, num_null: int = 0
) -> Documents:
    """Return documents from the text of each."""
    text = marker.join([*texts, b""])
    return Documents(text, len(texts), lambda: list(map(len, texts)), rows, num_empty, num_null)


def merged(blocks: Sequence[Documents], text: memoryview) -> Documents:
    """Return blocks in a row as one, whose reader has joined their text."""
    return Documents(
        text,
        sum(block.num_documents for block in blocks),
        lambda: [length for block in blocks for length in block.lengths()],
        blocks[-1].rows,
        sum(block.num_empty for block in blocks),
        sum(block.num_null for block in blocks),
        blocks[0].is_marked,
        any(block.has_bars for block in blocks),
    )


def count_rare(data: bytes | bytearray, byte: bytes) -> int:
    """Count a byte, several times as fast as :meth:`bytes.count` where it is rare."""
    count, place = 0, data.find(byte)
    while place >= 0:
        count += 1
        if count * _RARE > place + _MANY:
            return count + data.count(byte, place + 1)
        place = data.find(byte, place + 1)
    return count


def no_such_column(named: str, column: str, columns: Sequence[str]) -> DataError:
    """The error for a column that a file does not have.

    Args:
        named: the beginning of the message.
        column: the name, with dots between the names of nested ones.
        columns: the names that it has.
    """
    listed = ", ".join(columns) or "none"
    help = suggestion(column, columns) or "set data.column to the one that holds the text"
    return DataError(f"{named}: no column {column}; it has {listed}", help)


def nested_value(record: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column; in ``a.b``, that of ``b`` in ``a`` unless ``a.b`` is a name.

    Raises:
        KeyError: there is none.
    """
    if column in record:
        return record[column]
    first, _, rest = column.partition(".")
    if not rest:
        raise KeyError(column)
    inner = record[first]
    if inner is None:
        return None
    if not isinstance(inner, Mapping):
        raise KeyError(column)
    return nested_value(inner, rest)


def columns_of(record: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the columns of a record, nested ones with dots."""
    names: list[str] = []
    for name, value in record.items():
        names.append(prefix + name)
        if isinstance(value, Mapping):
            names += columns_of(value, f"{prefix}{name}.")
    return names
