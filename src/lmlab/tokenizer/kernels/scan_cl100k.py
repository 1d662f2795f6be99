"""Inlined: cl100k's pattern, by character; see :mod:`lmlab.tokenizer.kernels.scan`."""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.characters import CLASS_BITS, LENGTH_SHIFT, MALFORMED, character
from lmlab.tokenizer.kernels.classes import BLOCKS_START, LETTER, NEWLINE, NUMBER, OTHER, SPACE
from lmlab.tokenizer.kernels.kinds import CL100K_ENDING
from lmlab.tokenizer.kernels.language import I64, ONE, U64, ZERO, always_inline, inline
from lmlab.tokenizer.kernels.scan_state import FINISHED, MALFORMED_AT, POSITION

_APOSTROPHE = 0x27


@inline
def scan_cl100k(
    kind: int, text: Any, end: int, table: Any, state: Any, ends: Any, capacity: int
) -> int:
    """See :func:`lmlab.tokenizer.kernels.scan.scan`."""
    count = 0
    position = I64(state[POSITION])
    while position < end and count < capacity:
        position = next_cl100k(kind, text, position, end, table, state)
        ends[count] = position
        count += 1
    state[POSITION] = U64(position)
    if position >= end:
        state[FINISHED] = ONE
    return count


@inline
def next_cl100k(kind: int, text: Any, position: int, end: int, table: Any, state: Any) -> int:
    """Where the pre-token that begins at ``position`` < ``end`` ends, in the pattern of cl100k."""
    found = _character(text, position, end, table, state)
    first = found & CLASS_BITS
    after = position + (found >> LENGTH_SHIFT & CLASS_BITS)
    if text[position] == _APOSTROPHE:
        length = _contraction(text, position, end)
        if length:
            return position + length
    if first == LETTER:
        return _run(LETTER, text, after, end, table, state)
    second = -1
    if after < end:
        second = _character(text, after, end, table, state) & CLASS_BITS
    if first == NUMBER:
        for _ in range(2):
            if after >= end:
                break
            found = _character(text, after, end, table, state)
            if found & CLASS_BITS != NUMBER:
                break
            after += found >> LENGTH_SHIFT & CLASS_BITS
        return after
    if second == LETTER and first != NEWLINE:
        return _run(LETTER, text, after, end, table, state)
    if first == OTHER or (text[position] == 0x20 and second == OTHER):
        after = _run(OTHER, text, after, end, table, state)
        while after < end and (text[after] == 0x0A or text[after] == 0x0D):
            after += 1
        return after
    return _white_space(kind, text, position, end, table, state)


@inline
def _white_space(kind: int, text: Any, position: int, end: int, table: Any, state: Any) -> int:
    after, last, line = (
        position,
        position,
        -1,
    )  # end of the run, its last character, end of its last newline
    while after < end:
        found = _character(text, after, end, table, state)
        if found & SPACE != SPACE:
            break
        last = after
        after += found >> LENGTH_SHIFT & CLASS_BITS
        if found & CLASS_BITS == NEWLINE:
            line = after
    if line >= 0 and not (kind == CL100K_ENDING and after >= end):
        return line
    if after >= end or last == position:
        return after
    return last


@inline
def _run(wanted: int, text: Any, position: int, end: int, table: Any, state: Any) -> int:
    while position < end:
        found = _character(text, position, end, table, state)
        if found & CLASS_BITS != wanted:
            break
        position += found >> LENGTH_SHIFT & CLASS_BITS
    return position


@inline
def _contraction(text: Any, position: int, end: int) -> int:
    """Length of the contraction at an apostrophe, ignoring case; 0 for none."""
    if position + 1 >= end:
        return 0
    first = I64(text[position + 1]) | 0x20
    if first == 115 or first == 100 or first == 109 or first == 116:  # s d m t
        return 2
    if position + 2 >= end:
        return 0
    second = I64(text[position + 2])
    if text[position + 1] == 0xC5 and second == 0xBF:  # the long s is an s without regard to case
        return 3
    second |= 0x20
    if (
        (first == 108 and second == 108)  # ll
        or (first == 118 and second == 101)  # ve
        or (first == 114 and second == 101)  # re
    ):
        return 3
    return 0


@always_inline
def _character(text: Any, position: int, end: int, table: Any, state: Any) -> int:
    if text[position] < 0x80:
        return I64(table[BLOCKS_START + I64(text[position])]) | 1 << LENGTH_SHIFT
    found = character(text, position, end, table)
    if found & MALFORMED and state[MALFORMED_AT] == ZERO:
        state[MALFORMED_AT] = U64(position + 1)
    return found
