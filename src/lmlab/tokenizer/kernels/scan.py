"""Inlined: cutting a segment of UTF-8 into pre-tokens.

A *segment* is text between two special tokens; its end counts as the end of the text. Usage, inside
a kernel that is handed ``table`` (:func:`~lmlab.tokenizer.kernels.classes.class_table`), ``state``
(``STATE_SIZE`` uint64) and ``ends`` (``room`` >= ``LEAST_ROOM`` int64)::

    begin(state, start)
    while state[FINISHED] == ZERO:
        count = scan(kind, text, start, end, table, state, ends, room)
        ...  # pre-tokens end at ends[0], ..., ends[count - 1]; the first begins where the last did

The bytes from ``end`` to ``end + PADDING`` must be readable, whatever they hold.

The pre-tokens are those that ``regex`` finds with the pattern of that ``kind`` in the segment, byte
for byte; what malformed UTF-8 means stands in :mod:`lmlab.tokenizer.kernels.characters`, and
``state[MALFORMED_AT]`` is 1 + the place of the segment's first malformed byte, or 0.

GPT-2's pattern is found 64 bytes at a time: each class of characters is a mask of 64 bits, one bit
a byte, and the boundaries follow from shifts of these masks. cl100k's goes character by character.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.characters import (
    CLASS_BITS,
    LENGTH_SHIFT,
    MALFORMED,
    character,
)
from lmlab.tokenizer.kernels.classes import BLOCKS_START, LETTER, NEWLINE, NUMBER, OTHER, SPACE
from lmlab.tokenizer.kernels.kinds import CL100K_ENDING, GPT2
from lmlab.tokenizer.kernels.language import (
    ALL,
    I64,
    ONE,
    U64,
    ZERO,
    always_inline,
    ascii_classes,
    count_ones,
    inline,
    trailing_zeros,
)

PADDING = 64
LEAST_ROOM = 256
_MOST_IN_A_BLOCK = 80  # 64, the end of the segment, and what is written beyond
STATE_SIZE = 16

# Places in the state. A block is classified, then held until the next one is classified too.
FINISHED = 0
MALFORMED_AT = 1
_POSITION = 2  # where the next block begins
_HELD = 3  # 1 when a classified block is held
_MASKS = 4  # its masks: letters, numbers, white space, blanks, apostrophes, continuations
_BEFORE = 10  # classes of the byte before it, one bit each in the order of the masks
_SET, _CLEAR = 11, 12  # boundaries that a contraction of the block before sets and clears in it
_SPILL = 13  # bytes of the next block that belong to a character of this one, and its class

_APOSTROPHE = 0x27
_TOP = U64(63)
_LETTER_BEFORE, _NUMBER_BEFORE, _SPACE_BEFORE, _BLANK_BEFORE, _OTHER_BEFORE = 0, 1, 2, 3, 4


@inline
def begin(state: Any, start: int) -> None:
    """Make ``state`` ready for a segment that begins at ``start``."""
    for place in range(STATE_SIZE):
        state[place] = ZERO
    state[_POSITION] = U64(start)


@inline
def scan(
    kind: int, text: Any, start: int, end: int, table: Any, state: Any, ends: Any, room: int
) -> int:
    """Write where the next pre-tokens end; return how many. See the module."""
    if kind == GPT2:
        return _scan_gpt2(text, start, end, table, state, ends, room)
    return _scan_cl100k(kind, text, end, table, state, ends, room)


@inline
def _scan_gpt2(
    text: Any, start: int, end: int, table: Any, state: Any, ends: Any, room: int
) -> int:
    count = 0
    position = I64(state[_POSITION])
    held = state[_HELD]
    letters, numbers, spaces = state[_MASKS], state[_MASKS + 1], state[_MASKS + 2]
    blanks, quotes, inner = state[_MASKS + 3], state[_MASKS + 4], state[_MASKS + 5]
    valid = _valid(end - position + 64)
    while count + _MOST_IN_A_BLOCK <= room:
        next_valid = _valid(end - position)
        next_letters, next_numbers, next_spaces = ZERO, ZERO, ZERO
        next_blanks, next_quotes, next_inner = ZERO, ZERO, ZERO
        if position < end:
            (next_letters, next_numbers, next_spaces, next_blanks, next_quotes, high) = (
                ascii_classes(text, position)
            )
            next_letters &= next_valid
            next_numbers &= next_valid
            next_spaces &= next_valid
            next_blanks &= next_valid
            next_quotes &= next_valid
            high &= next_valid
            if high | state[_SPILL] != ZERO:
                wide_letters, wide_numbers, wide_spaces, next_inner = _wide(
                    text, position, end, table, state, high
                )
                next_letters |= wide_letters
                next_numbers |= wide_numbers
                next_spaces |= wide_spaces
        if held != ZERO:
            base = position - 64
            found, calls = _begins(
                letters, numbers, spaces, blanks, quotes, inner, valid,
                next_letters, next_spaces, next_inner, next_valid, state,
            )  # fmt: skip
            found = found & ~state[_CLEAR] | state[_SET]
            state[_SET], state[_CLEAR] = ZERO, ZERO
            if calls != ZERO:
                found = _contract(text, base, end, state, calls, found)
            found &= valid
            if base == start:
                found &= ~ONE
            count = _write(base, found, ends, count)
            if position >= end:
                ends[count] = end
                state[FINISHED] = ONE
                return count + 1
        elif position >= end:
            state[FINISHED] = ONE
            return count
        held = ONE
        letters, numbers, spaces, valid = next_letters, next_numbers, next_spaces, next_valid
        blanks, quotes, inner = next_blanks, next_quotes, next_inner
        position += 64
    state[_POSITION], state[_HELD] = U64(position), held
    state[_MASKS], state[_MASKS + 1], state[_MASKS + 2] = letters, numbers, spaces
    state[_MASKS + 3], state[_MASKS + 4], state[_MASKS + 5] = blanks, quotes, inner
    return count


@always_inline
def _valid(size: int) -> Any:
    """Bits of the bytes of a block that lie before the end, ``size`` bytes away."""
    if size >= 64:
        return ALL
    if size <= 0:
        return ZERO
    return (ONE << U64(size)) - ONE


@always_inline
def _begins(
    letters: Any, numbers: Any, spaces: Any, blanks: Any, quotes: Any, inner: Any, valid: Any,
    next_letters: Any, next_spaces: Any, next_inner: Any, next_valid: Any, state: Any,
) -> Any:  # fmt: skip
    """Where pre-tokens begin, contractions aside, and the apostrophes that may be contractions."""
    others = valid & ~(letters | numbers | spaces)
    before = state[_BEFORE]
    after_letter = letters << ONE | (before & ONE)
    after_number = numbers << ONE | (before >> U64(_NUMBER_BEFORE) & ONE)
    after_space = spaces << ONE | (before >> U64(_SPACE_BEFORE) & ONE)
    after_blank = blanks << ONE | (before >> U64(_BLANK_BEFORE) & ONE)
    after_other = others << ONE | (before >> U64(_OTHER_BEFORE) & ONE)
    state[_BEFORE] = (
        letters >> _TOP
        | numbers >> _TOP << U64(_NUMBER_BEFORE)
        | spaces >> _TOP << U64(_SPACE_BEFORE)
        | blanks >> _TOP << U64(_BLANK_BEFORE)
        | others >> _TOP << U64(_OTHER_BEFORE)
    )
    # A run of one class begins a pre-token, unless a blank before it already has.
    found = (letters & ~after_letter | numbers & ~after_number | others & ~after_other) & (
        ~after_blank
    )
    found |= spaces & ~after_space
    # So does the last white space character before something else.
    dark, next_dark = valid & ~spaces, next_valid & ~next_spaces
    dark_1 = dark >> ONE | next_dark << _TOP
    if inner | next_inner == ZERO:
        found |= spaces & dark_1
    else:
        inner_1 = inner >> ONE | next_inner << _TOP
        inner_2 = inner >> U64(2) | next_inner << U64(62)
        dark_2 = dark >> U64(2) | next_dark << U64(62)
        dark_3 = dark >> U64(3) | next_dark << U64(61)
        last = dark_1 & ~inner_1 | inner_1 & (dark_2 & ~inner_2 | inner_2 & dark_3)
        found |= spaces & ~inner & last
    calls = quotes & ~after_other & ~after_blank
    return found, calls & (letters >> ONE | next_letters << _TOP)


@always_inline
def _write(base: int, found: Any, ends: Any, count: int) -> int:
    """Write the places of the bits of ``found``: eight at a time, so that few jumps are missed."""
    total = count_ones(found)
    at = count
    while True:
        for place in range(8):
            ends[at + place] = base + trailing_zeros(found)
            found &= found - ONE
        at += 8
        if found == ZERO:
            return count + total


@inline
def _contract(text: Any, base: int, end: int, state: Any, calls: Any, found: Any) -> Any:
    """Boundaries with those of contractions: ``calls`` are apostrophes that letters follow."""
    while calls != ZERO:
        bit = trailing_zeros(calls)
        calls &= calls - ONE
        place = base + bit
        first = I64(text[place + 1])
        length = 0
        if first == 115 or first == 100 or first == 109 or first == 116:  # s d m t
            length = 2
        elif place + 2 < end:
            second = I64(text[place + 2])
            if (
                (first == 108 and second == 108)  # ll
                or (first == 118 and second == 101)  # ve
                or (first == 114 and second == 101)  # re
            ):
                length = 3
        if length:
            if bit + 1 < 64:
                found &= ~(ONE << U64(bit + 1))
            else:
                state[_CLEAR] = ONE
            if bit + length < 64:
                found |= ONE << U64(bit + length)
            else:
                state[_SET] = ONE << U64(bit + length - 64)
    return found


@inline
def _wide(text: Any, position: int, end: int, table: Any, state: Any, high: Any) -> Any:
    """Masks of the characters of several bytes in a block: letters, numbers, spaces, inner bytes.

    Every byte of a character is marked with its class; a character may spill into the next block.
    """
    letters, numbers, spaces, inner = ZERO, ZERO, ZERO, ZERO
    spill = I64(state[_SPILL])
    state[_SPILL] = ZERO
    if spill:
        mask = (ONE << U64(spill >> 3)) - ONE
        kind = spill & CLASS_BITS
        inner |= mask
        high &= ~mask
        if kind == LETTER:
            letters |= mask
        elif kind == NUMBER:
            numbers |= mask
        elif kind == SPACE:
            spaces |= mask
    while high != ZERO:
        bit = trailing_zeros(high)
        found = character(text, position + bit, end, table)
        kind = found & CLASS_BITS
        length = found >> LENGTH_SHIFT & CLASS_BITS
        mask = ((ONE << U64(length)) - ONE) << U64(bit)
        high &= ~mask
        if found & MALFORMED:
            if state[MALFORMED_AT] == ZERO:
                state[MALFORMED_AT] = U64(position + bit + 1)
            continue
        inner |= mask & (mask - (ONE << U64(bit)))
        if kind == LETTER:
            letters |= mask
        elif kind == NUMBER:
            numbers |= mask
        elif kind == SPACE:
            spaces |= mask
        if bit + length > 64:
            state[_SPILL] = U64((bit + length - 64) << 3 | kind)
    return letters, numbers, spaces, inner


@inline
def _scan_cl100k(
    kind: int, text: Any, end: int, table: Any, state: Any, ends: Any, room: int
) -> int:
    count = 0
    place = I64(state[_POSITION])
    while place < end and count < room:
        place = next_cl100k(kind, text, place, end, table, state)
        ends[count] = place
        count += 1
    state[_POSITION] = U64(place)
    if place >= end:
        state[FINISHED] = ONE
    return count


@inline
def next_cl100k(kind: int, text: Any, place: int, end: int, table: Any, state: Any) -> int:
    """Where the pre-token that begins at ``place`` < ``end`` ends, in cl100k's pattern."""
    found = _character(text, place, end, table, state)
    first = found & CLASS_BITS
    after = place + (found >> LENGTH_SHIFT & CLASS_BITS)
    if text[place] == _APOSTROPHE:
        length = _contraction(text, place, end)
        if length:
            return place + length
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
    if first == OTHER or (text[place] == 0x20 and second == OTHER):
        after = _run(OTHER, text, after, end, table, state)
        while after < end and (text[after] == 0x0A or text[after] == 0x0D):
            after += 1
        return after
    return _white_space(kind, text, place, end, table, state)


@inline
def _white_space(kind: int, text: Any, place: int, end: int, table: Any, state: Any) -> int:
    after, last, line = place, place, -1  # end of the run, its last character, its last newline
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
    if after >= end or last == place:
        return after
    return last


@inline
def _run(wanted: int, text: Any, place: int, end: int, table: Any, state: Any) -> int:
    while place < end:
        found = _character(text, place, end, table, state)
        if found & CLASS_BITS != wanted:
            break
        place += found >> LENGTH_SHIFT & CLASS_BITS
    return place


@inline
def _contraction(text: Any, place: int, end: int) -> int:
    """Length of the contraction at an apostrophe, in either case of its letters; 0 for none."""
    if place + 1 >= end:
        return 0
    first = I64(text[place + 1]) | 0x20
    if first == 115 or first == 100 or first == 109 or first == 116:  # s d m t
        return 2
    if place + 2 >= end:
        return 0
    second = I64(text[place + 2])
    if text[place + 1] == 0xC5 and second == 0xBF:  # the long s is an s without regard to case
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
def _character(text: Any, place: int, end: int, table: Any, state: Any) -> int:
    if text[place] < 0x80:
        return I64(table[BLOCKS_START + I64(text[place])]) | 1 << LENGTH_SHIFT
    found = character(text, place, end, table)
    if found & MALFORMED and state[MALFORMED_AT] == ZERO:
        state[MALFORMED_AT] = U64(place + 1)
    return found
