"""Inlined: splitting a segment of UTF-8 into pre-tokens.

A *segment* is text between two special tokens; its end counts as the end of the text. Usage, inside
a kernel with ``table`` (:func:`~lmlab.tokenizer.kernels.classes.class_table`), ``state``
(``STATE_SIZE`` uint64) and ``ends`` (``capacity`` >= ``MIN_CAPACITY`` int64)::

    begin(state, start)
    while state[FINISHED] == ZERO:
        count = scan(kind, text, start, end, table, state, ends, capacity)
        ...  # pre-tokens end at ends[0], ..., ends[count - 1]; each begins where the last ended

The bytes from ``end`` to ``end + PADDING`` must be readable; their values do not matter.

The pre-tokens are those that ``regex`` finds with the pattern of that ``kind`` in the segment, byte
for byte. For malformed UTF-8 see :mod:`lmlab.tokenizer.kernels.characters`; ``state[MALFORMED_AT]``
is 1 + the position of the segment's first malformed byte, or 0.

GPT-2's pattern is matched 64 bytes at a time: each class of characters is a mask of 64 bits, one
per byte, and shifts of these masks give the boundaries. cl100k's is matched by character.
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
MIN_CAPACITY = 256
_MAX_PER_BLOCK = 80  # 64, the end of the segment, and positions written in excess
STATE_SIZE = 16

# Indices into the state. A classified block is pending until the next one is classified.
FINISHED = 0
MALFORMED_AT = 1
_POSITION = 2  # where the next block begins
_PENDING = 3  # 1 if a classified block is pending
_MASKS = 4  # its masks: letters, numbers, white space, spaces, apostrophes, continuation bytes
_BEFORE = 10  # class of the byte before it, one bit per class in the order below
_SET, _CLEAR = 11, 12  # boundaries in it that a contraction of the previous block sets and clears
_SPILL = 13  # bytes in the next block of a character that begins in this one, and its class

_APOSTROPHE = 0x27
_TOP = U64(63)
_LETTER_BEFORE, _NUMBER_BEFORE, _SPACE_BEFORE, _BLANK_BEFORE, _OTHER_BEFORE = 0, 1, 2, 3, 4


@inline
def begin(state: Any, start: int) -> None:
    """Initialize ``state`` for a segment that begins at ``start``."""
    for position in range(STATE_SIZE):
        state[position] = ZERO
    state[_POSITION] = U64(start)


@inline
def scan(
    kind: int, text: Any, start: int, end: int, table: Any, state: Any, ends: Any, capacity: int
) -> int:
    """Write where the next pre-tokens end; return their number. See the module."""
    if kind == GPT2:
        return _scan_gpt2(text, start, end, table, state, ends, capacity)
    return _scan_cl100k(kind, text, end, table, state, ends, capacity)


@inline
def _scan_gpt2(
    text: Any, start: int, end: int, table: Any, state: Any, ends: Any, capacity: int
) -> int:
    count = 0
    position = I64(state[_POSITION])
    pending = state[_PENDING]
    letters, numbers, spaces = state[_MASKS], state[_MASKS + 1], state[_MASKS + 2]
    blanks, quotes, continuations = state[_MASKS + 3], state[_MASKS + 4], state[_MASKS + 5]
    valid = _valid(end - position + 64)
    while count + _MAX_PER_BLOCK <= capacity:
        next_valid = _valid(end - position)
        next_letters, next_numbers, next_spaces = ZERO, ZERO, ZERO
        next_blanks, next_quotes, next_continuations = ZERO, ZERO, ZERO
        if position < end:
            (next_letters, next_numbers, next_spaces, next_blanks, next_quotes, non_ascii) = (
                ascii_classes(text, position)
            )
            next_letters &= next_valid
            next_numbers &= next_valid
            next_spaces &= next_valid
            next_blanks &= next_valid
            next_quotes &= next_valid
            non_ascii &= next_valid
            if non_ascii | state[_SPILL] != ZERO:
                multibyte_letters, multibyte_numbers, multibyte_spaces, next_continuations = (
                    _multibyte_masks(text, position, end, table, state, non_ascii)
                )
                next_letters |= multibyte_letters
                next_numbers |= multibyte_numbers
                next_spaces |= multibyte_spaces
        if pending != ZERO:
            base = position - 64
            found, candidates = _pretoken_starts(
                letters, numbers, spaces, blanks, quotes, continuations, valid,
                next_letters, next_spaces, next_continuations, next_valid, state,
            )  # fmt: skip
            found = found & ~state[_CLEAR] | state[_SET]
            state[_SET], state[_CLEAR] = ZERO, ZERO
            if candidates != ZERO:
                found = _apply_contractions(text, base, end, state, candidates, found)
            found &= valid
            if base == start:
                found &= ~ONE
            count = _write_positions(base, found, ends, count)
            if position >= end:
                ends[count] = end
                state[FINISHED] = ONE
                return count + 1
        elif position >= end:
            state[FINISHED] = ONE
            return count
        pending = ONE
        letters, numbers, spaces, valid = next_letters, next_numbers, next_spaces, next_valid
        blanks, quotes, continuations = next_blanks, next_quotes, next_continuations
        position += 64
    state[_POSITION], state[_PENDING] = U64(position), pending
    state[_MASKS], state[_MASKS + 1], state[_MASKS + 2] = letters, numbers, spaces
    state[_MASKS + 3], state[_MASKS + 4], state[_MASKS + 5] = blanks, quotes, continuations
    return count


@always_inline
def _valid(size: int) -> Any:
    """Mask of the bytes of a block before the end, which is ``size`` bytes away."""
    if size >= 64:
        return ALL
    if size <= 0:
        return ZERO
    return (ONE << U64(size)) - ONE


@always_inline
def _pretoken_starts(
    letters: Any, numbers: Any, spaces: Any, blanks: Any, quotes: Any, continuations: Any,
    valid: Any, next_letters: Any, next_spaces: Any, next_continuations: Any, next_valid: Any,
    state: Any,
) -> Any:  # fmt: skip
    """Where pre-tokens begin without contractions, and apostrophes that may start one."""
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
    # A run of one class begins a pre-token, unless a space before it already does.
    found = (letters & ~after_letter | numbers & ~after_number | others & ~after_other) & (
        ~after_blank
    )
    found |= spaces & ~after_space
    # So does the last white space character before something else.
    nonspace, next_nonspace = valid & ~spaces, next_valid & ~next_spaces
    nonspace_1 = nonspace >> ONE | next_nonspace << _TOP
    if continuations | next_continuations == ZERO:
        found |= spaces & nonspace_1
    else:
        continuations_1 = continuations >> ONE | next_continuations << _TOP
        continuations_2 = continuations >> U64(2) | next_continuations << U64(62)
        nonspace_2 = nonspace >> U64(2) | next_nonspace << U64(62)
        nonspace_3 = nonspace >> U64(3) | next_nonspace << U64(61)
        last = nonspace_1 & ~continuations_1 | continuations_1 & (
            nonspace_2 & ~continuations_2 | continuations_2 & nonspace_3
        )
        found |= spaces & ~continuations & last
    candidates = quotes & ~after_other & ~after_blank
    return found, candidates & (letters >> ONE | next_letters << _TOP)


@always_inline
def _write_positions(base: int, found: Any, ends: Any, count: int) -> int:
    """Write the positions of the bits of ``found``, eight at a time to avoid mispredictions."""
    total = count_ones(found)
    at = count
    while True:
        for position in range(8):
            ends[at + position] = base + trailing_zeros(found)
            found &= found - ONE
        at += 8
        if found == ZERO:
            return count + total


@inline
def _apply_contractions(
    text: Any, base: int, end: int, state: Any, candidates: Any, found: Any
) -> Any:
    """Apply contractions to the boundaries ``found``.

    ``candidates`` are apostrophes followed by letters.
    """
    while candidates != ZERO:
        bit = trailing_zeros(candidates)
        candidates &= candidates - ONE
        position = base + bit
        first = I64(text[position + 1])
        length = 0
        if first == 115 or first == 100 or first == 109 or first == 116:  # s d m t
            length = 2
        elif position + 2 < end:
            second = I64(text[position + 2])
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
def _multibyte_masks(
    text: Any, position: int, end: int, table: Any, state: Any, non_ascii: Any
) -> Any:
    """Masks of the multibyte characters in a block: letters, numbers, spaces, continuation bytes.

    Every byte of a character is marked with its class; a character may extend into the next block.
    """
    letters, numbers, spaces, continuations = ZERO, ZERO, ZERO, ZERO
    spill = I64(state[_SPILL])
    state[_SPILL] = ZERO
    if spill:
        mask = (ONE << U64(spill >> 3)) - ONE
        kind = spill & CLASS_BITS
        continuations |= mask
        non_ascii &= ~mask
        if kind == LETTER:
            letters |= mask
        elif kind == NUMBER:
            numbers |= mask
        elif kind == SPACE:
            spaces |= mask
    while non_ascii != ZERO:
        bit = trailing_zeros(non_ascii)
        found = character(text, position + bit, end, table)
        kind = found & CLASS_BITS
        length = found >> LENGTH_SHIFT & CLASS_BITS
        mask = ((ONE << U64(length)) - ONE) << U64(bit)
        non_ascii &= ~mask
        if found & MALFORMED:
            if state[MALFORMED_AT] == ZERO:
                state[MALFORMED_AT] = U64(position + bit + 1)
            continue
        continuations |= mask & (mask - (ONE << U64(bit)))
        if kind == LETTER:
            letters |= mask
        elif kind == NUMBER:
            numbers |= mask
        elif kind == SPACE:
            spaces |= mask
        if bit + length > 64:
            state[_SPILL] = U64((bit + length - 64) << 3 | kind)
    return letters, numbers, spaces, continuations


@inline
def _scan_cl100k(
    kind: int, text: Any, end: int, table: Any, state: Any, ends: Any, capacity: int
) -> int:
    count = 0
    position = I64(state[_POSITION])
    while position < end and count < capacity:
        position = next_cl100k(kind, text, position, end, table, state)
        ends[count] = position
        count += 1
    state[_POSITION] = U64(position)
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
