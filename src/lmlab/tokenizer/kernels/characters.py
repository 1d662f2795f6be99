"""Inlined: reading one UTF-8 character and its class.

Each byte that is not part of well-formed UTF-8 (Unicode 15, table 3-7) is a character of class
``OTHER``, as for ``regex`` on ``data.decode("utf-8", "surrogateescape")``.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.classes import BLOCKS_START
from lmlab.tokenizer.kernels.language import I64, inline

# Fields of the result of `character`: class, length in bytes, whether it is malformed.
CLASS_BITS = 7
LENGTH_SHIFT = 3
MALFORMED = 1 << 6
_MALFORMED_BYTE = MALFORMED | 1 << LENGTH_SHIFT


@inline
def character(text: Any, position: int, end: int, table: Any) -> int:
    """The character at ``position`` < ``end``; reads no byte at or after ``end``.

    Returns:
        ``class | length << LENGTH_SHIFT``, with ``MALFORMED`` set for a malformed byte.
    """
    first = I64(text[position])
    if first < 0x80:
        return I64(table[BLOCKS_START + first]) | 1 << LENGTH_SHIFT
    if first < 0xC2 or first > 0xF4 or position + 1 >= end:
        return _MALFORMED_BYTE
    second = I64(text[position + 1])
    if second & 0xC0 != 0x80:
        return _MALFORMED_BYTE
    if first < 0xE0:
        return _class(table, (first & 0x1F) << 6 | second & 0x3F) | 2 << LENGTH_SHIFT
    if position + 2 >= end:
        return _MALFORMED_BYTE
    third = I64(text[position + 2])
    if third & 0xC0 != 0x80:
        return _MALFORMED_BYTE
    code = (first & 0x0F) << 12 | (second & 0x3F) << 6 | third & 0x3F
    if first < 0xF0:
        if code < 0x800 or (code >= 0xD800 and code < 0xE000):
            return _MALFORMED_BYTE
        return _class(table, code) | 3 << LENGTH_SHIFT
    if position + 3 >= end:
        return _MALFORMED_BYTE
    fourth = I64(text[position + 3])
    code = (first & 7) << 18 | (second & 0x3F) << 12 | (third & 0x3F) << 6 | fourth & 0x3F
    if fourth & 0xC0 != 0x80 or code < 0x1_0000 or code > 0x10_FFFF:
        return _MALFORMED_BYTE
    return _class(table, code) | 4 << LENGTH_SHIFT


@inline
def _class(table: Any, code: int) -> int:
    return I64(table[BLOCKS_START + 256 * I64(table[code >> 8]) + (code & 255)])
