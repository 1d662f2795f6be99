"""Kernels that write the documents of records in a row, each with a marker after it.

They leave out empty documents and rows without one, and count both. The results in ``control`` are
described in :mod:`lmlab.tokenizer.kernels.row_results`.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.json_values import (
    copy_string,
    skip_blanks,
    skip_name,
    skip_null,
    skip_value,
)
from lmlab.tokenizer.kernels.language import (
    I64,
    ZERO,
    always_inline,
    copy_block,
    inline,
    kernel,
    load_u32,
    load_u64,
    match_byte,
    string_classes,
    trailing_zeros,
)
from lmlab.tokenizer.kernels.row_results import BARS, DOCUMENTS, EMPTY, END, NULL

_BAR, _QUOTE, _COMMA = 0x7C, 0x22, 0x2C
_NEW_LINE, _OBJECT, _OBJECT_END = 0x0A, 0x7B, 0x7D


@kernel("u8* i64 i64 u8* i64 u8* u8* u8* i64 u8* i64 i64* i64*")
def arrow_strings(
    offsets: Any,
    shift: int,
    count: int,
    valid: Any,
    first_bit: int,
    data: Any,
    table: Any,
    marker: Any,
    marker_size: int,
    out: Any,
    at: int,
    lengths: Any,
    control: Any,
) -> int:
    """Write the strings of an Arrow array.

    Args:
        offsets: ``count`` + 1 integers of ``1 << shift`` bytes, where strings begin and end.
        shift: 2 or 3.
        count: number of strings.
        valid: bit by bit, whether a string is not null.
        first_bit: where the bits begin; -1 if there are none.
        data: the text.
        table: not used; all kernels of this group have the same last arguments.
        marker: what follows each document.
        marker_size: its bytes.
        out: where documents are written, with space for them and their markers.
        at: where in ``out``.
        lengths: where the bytes of each document are written.
        control: the results.

    Returns 0, or 1 if strings do not follow each other up to the last: the file is damaged.
    """
    documents, empty, null, bars = 0, 0, 0, ZERO
    last = _offset(offsets, count, shift)
    for row in range(count):
        start, end = _offset(offsets, row, shift), _offset(offsets, row + 1, shift)
        length = end - start
        if length < 0 or end > last:
            return 1
        if first_bit >= 0:
            bit = first_bit + row
            if I64(valid[bit >> 3]) >> (bit & 7) & 1 == 0:
                null += 1
                continue
        if length == 0:
            empty += 1
            continue
        bars |= _copy(data, start, length, out, at)
        at = _put(marker, marker_size, out, at + length)
        lengths[documents] = length
        documents += 1
    control[END], control[DOCUMENTS], control[EMPTY], control[NULL] = at, documents, empty, null
    control[BARS] = I64(bars != ZERO)
    return 0


@inline
def _offset(offsets: Any, index: int, shift: int) -> int:
    if shift == 2:
        return I64(load_u32(offsets, index << 2))
    return I64(load_u64(offsets, index << 3))


@inline
def _copy(source: Any, start: int, length: int, out: Any, at: int) -> Any:
    """Copy bytes, and nothing around them; return a mask other than 0 if some are bars."""
    bars = ZERO
    if length < 64:
        for index in range(length):
            byte = source[start + index]
            out[at + index] = byte
            if byte == _BAR:
                bars = ~ZERO
        return bars
    last = length - 64
    index = 0
    while index < last:
        bars |= match_byte(source, start + index, _BAR)
        copy_block(out, at + index, source, start + index)
        index += 64
    bars |= match_byte(source, start + last, _BAR)
    copy_block(out, at + last, source, start + last)
    return bars


@inline
def _put(marker: Any, size: int, out: Any, at: int) -> int:
    for index in range(size):
        out[at + index] = marker[index]
    return at + size


@kernel("u8* i64 u8* i64 u8* u8* i64 u8* i64 i64* i64*")
def json_strings(
    lines: Any,
    end: int,
    name: Any,
    name_size: int,
    table: Any,
    marker: Any,
    marker_size: int,
    out: Any,
    at: int,
    lengths: Any,
    control: Any,
) -> int:
    """Write the strings of one name in lines of JSON, one object per line.

    Args:
        lines: whole lines, with at least 64 zero bytes after them.
        end: number of bytes.
        name: of the string, in ASCII and without anything that must be escaped.
        name_size: its bytes.
        table: see :mod:`lmlab.tokenizer.kernels.classes`.
        marker: what follows each document.
        marker_size: its bytes.
        out: where documents are written, with space for ``lines``, 64 bytes and a marker per line.
        at: where in ``out``.
        lengths: where the bytes of each document are written.
        control: the results.

    Returns 0, or 1 if a line is unusual: only a reader in Python can say what it means. Then there
    are no results.
    """
    documents, empty, null, position, bars = 0, 0, 0, 0, ZERO
    while True:
        position = skip_blanks(lines, position)
        if position >= end:
            break
        if lines[position] == _NEW_LINE:
            position += 1
            continue
        position, after, is_null, some_bars = _object(
            lines, position, end, name, name_size, table, out, at
        )
        if position < 0:
            return 1
        bars |= some_bars
        if is_null:
            null += 1
        elif after == at:
            empty += 1
        else:
            lengths[documents] = after - at
            documents += 1
            at = _put(marker, marker_size, out, after)
    control[END], control[DOCUMENTS], control[EMPTY], control[NULL] = at, documents, empty, null
    control[BARS] = I64(bars != ZERO)
    return 0


@inline
def _object(
    text: Any, position: int, end: int, name: Any, name_size: int, table: Any, out: Any, at: int
) -> Any:
    """Read the object of a line, which must have the name once.

    Returns the position after it, or -1, the end of the string in ``out``, whether there is null
    instead, and a mask of bars.
    """
    missing = -1, at, False, ZERO
    after, is_found, is_null, bars = at, False, False, ZERO
    if text[position] != _OBJECT:
        return missing
    while True:
        position = skip_blanks(text, position + 1)
        is_name = _is_name(text, position, name, name_size)
        if text[position] != _QUOTE or _has_escapes(text, position):
            return missing  # with escapes, it may be another way to write the name
        position = skip_name(text, position, end, table)
        if position < 0:
            return missing
        if not is_name:
            position = skip_value(text, position, end, table)
        elif is_found:
            return missing
        elif text[position] == _QUOTE:
            position, after, bars = copy_string(text, position + 1, end, table, out, at)
        else:
            position, is_null = skip_null(text, position), True
        if position < 0:
            return missing
        is_found |= is_name
        position = skip_blanks(text, position)
        if text[position] != _COMMA:
            break
    if text[position] != _OBJECT_END or not is_found:
        return missing
    position = skip_blanks(text, position + 1)
    if position < end and text[position] != _NEW_LINE:
        return missing
    return position, after, is_null, bars


@inline
def _is_name(text: Any, position: int, name: Any, size: int) -> bool:
    """Whether a quoted name is that of the column, as it stands."""
    for index in range(size):
        if text[position + 1 + index] != name[index]:
            return False
    return text[position + 1 + size] == _QUOTE


@always_inline
def _has_escapes(text: Any, position: int) -> bool:
    """Whether a quoted name has escapes, or more than 63 bytes."""
    stops, _, _ = string_classes(text, position + 1)
    size = trailing_zeros(stops)
    return size == 64 or text[position + 1 + size] != _QUOTE
