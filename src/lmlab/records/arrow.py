"""Documents of Parquet and Arrow files, by pyarrow."""

from __future__ import annotations

import bisect
import contextlib
import functools
from array import array as array_of_integers
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from lmlab.errors import ConfigError, DataError
from lmlab.records.documents import BLOCK_BYTES, Documents, RawRows, Rows, no_such_column

_MOST_ROWS = 1 << 10  # of a batch; fewer of long documents, so that caches hold them
_BUFFER = 1 << 20


@functools.cache
def _pyarrow() -> ModuleType:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "Parquet and Arrow files need the package pyarrow", "pip install 'lmlab[parquet]'"
        ) from error
    return pyarrow


@functools.cache
def _compute() -> ModuleType:
    import pyarrow.compute as compute  # not needed to read most files, which then begins earlier

    return compute


def read_parquet(path: Path, column: str, marker: bytes, named: str) -> Iterator[Rows]:
    """Yield the documents of a Parquet file, in its order.

    Args:
        path: the file.
        column: the name of the text, with dots between nested ones.
        marker: see :class:`~lmlab.records.documents.Documents`.
        named: the beginning of messages.

    Raises:
        DataError: the file is damaged, has no such column, or no strings there.
        ConfigError: pyarrow is not installed.
    """
    arrow = _pyarrow()
    with _translated(named), arrow.OSFile(str(path)) as raw:
        # By default batches keep all that has been read (pyarrow 26, tried 2026-11-29).
        file = arrow.parquet.ParquetFile(raw, pre_buffer=False, buffer_size=_BUFFER)
        parts = _find_column(file.schema_arrow, column, named)
        rows, per_row = 0, path.stat().st_size / max(1, file.metadata.num_rows)
        name, num_rows = ".".join(parts), _rows_of_batch(file.metadata)
        for batch in file.iter_batches(num_rows, columns=[name], use_threads=False):
            for found in _cut(_select(batch, parts), rows, marker):
                yield found._replace(disk_bytes=int(found.rows * per_row))
            rows += batch.num_rows


def _rows_of_batch(metadata: Any) -> int:
    """How many rows hold about one block, at most, if all columns were text."""
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    num_bytes = sum(group.total_byte_size for group in groups)
    return max(1, min(_MOST_ROWS, BLOCK_BYTES * metadata.num_rows // max(1, num_bytes)))


def read_arrow(path: Path, column: str, marker: bytes, named: str) -> Iterator[Rows]:
    """Yield the documents of an Arrow file, in the form of files or of streams.

    Args, Raises: as :func:`read_parquet`.
    """
    arrow = _pyarrow()
    with _translated(named), arrow.OSFile(str(path)) as raw:
        is_file = raw.read(6) == b"ARROW1"
        raw.seek(0)
        if is_file:
            file = arrow.ipc.open_file(raw)
            batches = (file.get_batch(index) for index in range(file.num_record_batches))
            schema = file.schema
        else:
            batches = arrow.ipc.open_stream(raw)
            schema = batches.schema
        parts = _find_column(schema, column, named)
        rows = 0
        for batch in batches:
            for found in _cut(_select(batch, parts), rows, marker):
                yield found._replace(disk_bytes=raw.tell())
            rows += batch.num_rows


@contextlib.contextmanager
def _translated(named: str) -> Iterator[None]:
    try:
        yield
    except (_pyarrow().ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{named} cannot be read: {reason}", "copy or write the file again"
        ) from error


def _find_column(schema: Any, column: str, named: str) -> list[str]:
    """The names from the outermost column to that of the text, whose type is checked."""
    types = _pyarrow().types
    found: list[str] = []
    fields, rest = {field.name: field.type for field in schema}, column
    while True:
        name = rest if rest in fields else rest.partition(".")[0]
        if name not in fields:
            raise no_such_column(named, column, _columns(schema))
        found.append(name)
        kind, rest = fields[name], rest[len(name) + 1 :]
        if not rest:
            break
        if not types.is_struct(kind):
            raise no_such_column(named, column, _columns(schema))
        fields = {field.name: field.type for field in kind}
    plain = kind.value_type if types.is_dictionary(kind) else kind
    if not _is_text(plain):
        texts = [name for name, kind in _typed_columns(schema) if _is_text(kind)]
        raise DataError(
            f"{named}: column {column}: expected strings, found {kind}",
            f"set data.column to one of: {', '.join(texts)}" if texts else None,
        )
    return found


def _is_text(kind: Any) -> bool:
    types = _pyarrow().types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or (hasattr(types, "is_string_view") and types.is_string_view(kind))
        or (types.is_dictionary(kind) and _is_text(kind.value_type))
    )


def _columns(schema: Any) -> list[str]:
    return [name for name, _ in _typed_columns(schema)]


def _typed_columns(fields: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for field in fields:
        yield prefix + field.name, field.type
        if _pyarrow().types.is_struct(field.type):
            yield from _typed_columns(field.type, f"{prefix}{field.name}.")


def _select(batch: Any, parts: list[str]) -> Any:
    """The column of a batch as strings or large strings."""
    arrow = _pyarrow()
    array = batch.column(parts[0])
    for name in parts[1:]:
        # Rows without the outer value have none inside either.
        array = _compute().struct_field(array, name)
    return array if _offset_bytes(array) else array.cast(arrow.large_string())


def _offset_bytes(array: Any) -> int:
    """Bytes of an offset of an array of strings; 0 for other layouts."""
    types = _pyarrow().types
    if types.is_string(array.type):
        return 4
    return 8 if types.is_large_string(array.type) else 0


def _cut(array: Any, rows: int, marker: bytes) -> Iterator[Rows]:
    """Cut a column into blocks of text, each with at least one row."""
    offsets = _offsets(array)
    start = 0
    while start < len(array):
        stop = bisect.bisect_right(offsets, offsets[start] + BLOCK_BYTES) - 1
        stop = max(start + 1, min(stop, len(array)))
        block = array.slice(start, stop - start)
        read = functools.partial(_documents, block, rows + stop, marker)
        raw = _raw(block, offsets[start], offsets[stop])
        yield Rows(rows + stop, offsets[stop] - offsets[start], 0, read, raw)
        start = stop


def _raw(array: Any, first: int, last: int) -> RawRows | None:
    """Strings as kernels read them; None if they are not within the text, in a damaged file.

    Args:
        array: the strings.
        first: where in the text they begin.
        last: where they end.
    """
    valid, offsets, text = array.buffers()
    if not 0 <= first <= last <= (text.size if text else 0):
        return None
    width = _offset_bytes(array)
    arguments = (
        offsets.address + width * array.offset, width.bit_length() - 1, len(array),
        valid.address if valid else 0, array.offset if valid else -1, text.address if text else 0,
    )  # fmt: skip
    return RawRows("arrow_strings", arguments, len(array), last - first, (array,))


def _documents(array: Any, rows: int, marker: bytes) -> Documents:
    compute = _compute()
    array = array.cast(_pyarrow().large_string())
    num_null = array.null_count
    if num_null:
        array = array.drop_null()
    lengths = compute.binary_length(array)
    num_rows = len(array)
    if num_rows and compute.min(lengths).as_py() == 0:
        array = array.filter(compute.greater(lengths, compute.min(lengths)))
        lengths = compute.binary_length(array)
    ended = compute.binary_join_element_wise(array, _text(marker), _text(b""))
    text = memoryview(b"")
    if len(ended):
        offsets = _offsets(ended)
        text = memoryview(ended.buffers()[2]).cast("B")[offsets[0] : offsets[len(ended)]]
    return Documents(text, len(array), lengths.to_pylist, rows, num_rows - len(array), num_null)


def _offsets(array: Any) -> memoryview:
    """Where the texts of an array of strings begin, and where the last one ends."""
    buffer = memoryview(array.buffers()[1]).cast("i" if _offset_bytes(array) == 4 else "q")
    return buffer[array.offset : array.offset + len(array) + 1]


@functools.cache
def _text(data: bytes) -> Any:
    """A large string, without ``pyarrow.scalar`` and ``to_numpy``.

    These import pandas where it is installed, which takes a quarter of a second (pyarrow 26.0.1,
    tried 2026-11-30).
    """
    arrow = _pyarrow()
    ends = arrow.py_buffer(array_of_integers("q", [0, len(data)]).tobytes())
    return arrow.LargeStringArray.from_buffers(1, ends, arrow.py_buffer(data))[0]
