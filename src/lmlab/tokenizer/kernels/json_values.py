"""Inlined: values of JSON (RFC 8259), stricter than readers are.

A position of -1 means that what stands there is not read here: it is no JSON, or it is rare (a lone
surrogate, depth beyond :data:`_DEEPEST`). Readers in Python decide about it. At least 64 zero bytes
follow the text, so that every value ends before them.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.characters import CLASS_BITS, LENGTH_SHIFT, MALFORMED, character
from lmlab.tokenizer.kernels.language import (
    I64,
    ONE,
    U64,
    ZERO,
    always_inline,
    copy_block,
    inline,
    string_classes,
    trailing_zeros,
)

_DEEPEST = 60
_QUOTE, _BACKSLASH, _SLASH, _BAR = 0x22, 0x5C, 0x2F, 0x7C
_OBJECT, _OBJECT_END, _ARRAY, _ARRAY_END = 0x7B, 0x7D, 0x5B, 0x5D
_COMMA, _COLON, _MINUS, _PLUS, _POINT = 0x2C, 0x3A, 0x2D, 0x2B, 0x2E
_ZERO_DIGIT, _NINE_DIGIT = 0x30, 0x39


@always_inline
def skip_blanks(text: Any, position: int) -> int:
    """The first byte that is no white space within a line."""
    while text[position] == 0x20 or text[position] == 0x09 or text[position] == 0x0D:
        position += 1
    return position


@inline
def copy_string(text: Any, position: int, end: int, table: Any, out: Any, at: int) -> Any:
    """Write the text of a string, which ``position`` is inside of, as UTF-8.

    ``out`` has space for 64 bytes more than the rest of the text.

    Returns:
        The position after the closing quote, or -1; the end of the text in ``out``; and a mask
        other than 0 if it has vertical bars.
    """
    bars = ZERO
    while position < end:
        stops, high, some_bars = string_classes(text, position)
        copy_block(out, at, text, position)
        size = trailing_zeros(stops)
        if size < 64:
            below = (ONE << U64(size)) - ONE
            high &= below
            some_bars &= below
        if high != ZERO:
            size = _valid_utf8(text, position, end, table, high, size)
            if size < 0:
                return -1, at, bars
        bars |= some_bars
        position += size
        at += size
        if size < 64 and position < end:
            byte = I64(text[position])
            if byte == _QUOTE:
                return position + 1, at, bars
            if byte == _BACKSLASH:
                position, code = _escaped(text, position)
                if position < 0:
                    return -1, at, bars
                at = _put_character(out, at, code)
                if code == _BAR:
                    bars |= ONE
            elif byte < 0x20:
                return -1, at, bars
            # Otherwise a character begins here that goes on after the block.
    return -1, at, bars


@inline
def _valid_utf8(text: Any, position: int, end: int, table: Any, high: Any, size: int) -> int:
    """How many of ``size`` bytes are whole characters; -1 if some are malformed."""
    while high != ZERO:
        bit = trailing_zeros(high)
        found = character(text, position + bit, end, table)
        if found & MALFORMED:
            return -1
        length = found >> LENGTH_SHIFT & CLASS_BITS
        if bit + length > size:
            return bit if size == 64 else -1
        high &= ~(((ONE << U64(length)) - ONE) << U64(bit))
    return size


@inline
def _escaped(text: Any, position: int) -> Any:
    """The position after an escape, or -1, and the character that it stands for."""
    byte = I64(text[position + 1])
    if byte == 0x6E:
        return position + 2, 0x0A
    if byte in (_QUOTE, _BACKSLASH, _SLASH):
        return position + 2, byte
    if byte == 0x75:
        code = _four_digits(text, position + 2)
        if code < 0 or (code >= 0xDC00 and code < 0xE000):
            return -1, 0
        if code < 0xD800 or code >= 0xE000:
            return position + 6, code
        if text[position + 6] != _BACKSLASH or text[position + 7] != 0x75:
            return -1, 0
        lower = _four_digits(text, position + 8)
        if lower < 0xDC00 or lower >= 0xE000:
            return -1, 0
        return position + 12, 0x1_0000 + ((code - 0xD800) << 10) + (lower - 0xDC00)
    if byte == 0x74:
        return position + 2, 0x09
    if byte == 0x72:
        return position + 2, 0x0D
    if byte == 0x62:
        return position + 2, 0x08
    if byte == 0x66:
        return position + 2, 0x0C
    return -1, 0


@inline
def _four_digits(text: Any, position: int) -> int:
    """The number of four hexadecimal digits; -1 where there are none."""
    code = 0
    for index in range(4):
        byte = I64(text[position + index])
        if byte >= _ZERO_DIGIT and byte <= _NINE_DIGIT:
            digit = byte - _ZERO_DIGIT
        else:
            digit = (byte | 0x20) - 0x61
            if digit < 0 or digit > 5:
                return -1
            digit += 10
        code = code << 4 | digit
    return code


@inline
def _put_character(out: Any, at: int, code: int) -> int:
    """Write a character as UTF-8; return where it ends."""
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at] = 0xC0 | code >> 6
        out[at + 1] = 0x80 | code & 0x3F
        return at + 2
    if code < 0x1_0000:
        out[at] = 0xE0 | code >> 12
        out[at + 1] = 0x80 | code >> 6 & 0x3F
        out[at + 2] = 0x80 | code & 0x3F
        return at + 3
    out[at] = 0xF0 | code >> 18
    out[at + 1] = 0x80 | code >> 12 & 0x3F
    out[at + 2] = 0x80 | code >> 6 & 0x3F
    out[at + 3] = 0x80 | code & 0x3F
    return at + 4


@inline
def skip_string(text: Any, position: int, end: int, table: Any) -> int:
    """The position after a string that ``position`` is inside of, or -1."""
    while position < end:
        stops, high, _ = string_classes(text, position)
        size = trailing_zeros(stops)
        if size < 64:
            high &= (ONE << U64(size)) - ONE
        if high != ZERO:
            size = _valid_utf8(text, position, end, table, high, size)
            if size < 0:
                return -1
        position += size
        if size < 64 and position < end:
            byte = I64(text[position])
            if byte == _QUOTE:
                return position + 1
            if byte == _BACKSLASH:
                position, _ = _escaped(text, position)
                if position < 0:
                    return -1
            elif byte < 0x20:
                return -1
    return -1


@inline
def skip_value(text: Any, position: int, end: int, table: Any) -> int:
    """The position after a value, or -1."""
    depth = 0
    objects = ZERO  # bit by bit, the innermost lowest: whether it is an object
    while True:
        byte = I64(text[position])
        is_open = False
        if byte in (_OBJECT, _ARRAY):
            if depth == _DEEPEST:
                return -1
            depth += 1
            objects = objects << ONE | U64(byte == _OBJECT)
            position = skip_blanks(text, position + 1)
            byte = I64(text[position])
            is_open = byte != _OBJECT_END and byte != _ARRAY_END
        else:
            position = _skip_scalar(text, position, end, table)
            if position < 0:
                return -1
        while not is_open:
            if depth == 0:
                return position
            position = skip_blanks(text, position)
            byte = I64(text[position])
            if byte == _COMMA:
                position = skip_blanks(text, position + 1)
                is_open = True
            elif byte == (_OBJECT_END if objects & ONE != ZERO else _ARRAY_END):
                objects >>= ONE
                depth -= 1
                position += 1
            else:
                return -1
        if objects & ONE != ZERO:
            position = skip_name(text, position, end, table)
            if position < 0:
                return -1


@inline
def skip_name(text: Any, position: int, end: int, table: Any) -> int:
    """The position of the value after a name and a colon, or -1."""
    if text[position] != _QUOTE:
        return -1
    position = skip_string(text, position + 1, end, table)
    if position < 0:
        return -1
    position = skip_blanks(text, position)
    if text[position] != _COLON:
        return -1
    return skip_blanks(text, position + 1)


@inline
def _skip_scalar(text: Any, position: int, end: int, table: Any) -> int:
    byte = I64(text[position])
    if byte == _QUOTE:
        return skip_string(text, position + 1, end, table)
    if byte == 0x74:  # true
        is_word = text[position + 1] == 0x72 and text[position + 2] == 0x75
        return position + 4 if is_word and text[position + 3] == 0x65 else -1
    if byte == 0x66:  # false
        is_word = text[position + 1] == 0x61 and text[position + 2] == 0x6C
        is_word = is_word and text[position + 3] == 0x73
        return position + 5 if is_word and text[position + 4] == 0x65 else -1
    if byte == 0x6E:
        return skip_null(text, position)
    return _skip_number(text, position)


@always_inline
def skip_null(text: Any, position: int) -> int:
    """The position after ``null``, or -1."""
    is_word = text[position] == 0x6E and text[position + 1] == 0x75
    is_word = is_word and text[position + 2] == 0x6C
    return position + 4 if is_word and text[position + 3] == 0x6C else -1


@inline
def _skip_number(text: Any, position: int) -> int:
    if text[position] == _MINUS:
        position += 1
    first = I64(text[position])
    after = _skip_digits(text, position)
    if after == position or (first == _ZERO_DIGIT and after > position + 1):
        return -1
    if text[after] == _POINT:
        position = after + 1
        after = _skip_digits(text, position)
        if after == position:
            return -1
    if I64(text[after]) | 0x20 == 0x65:  # e
        position = after + 1
        if text[position] == _PLUS or text[position] == _MINUS:
            position += 1
        after = _skip_digits(text, position)
        if after == position:
            return -1
    return after


@always_inline
def _skip_digits(text: Any, position: int) -> int:
    while text[position] >= _ZERO_DIGIT and text[position] <= _NINE_DIGIT:
        position += 1
    return position
