"""Inlined: GPT-2's pattern, 64 bytes at a time; see :mod:`lmlab.tokenizer.kernels.scan`."""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.characters import CLASS_BITS, LENGTH_SHIFT, MALFORMED, character
from lmlab.tokenizer.kernels.classes import LETTER, NUMBER, SPACE
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
from lmlab.tokenizer.kernels.scan_state import (
    BEFORE,
    CLEAR,
    FINISHED,
    MALFORMED_AT,
    MASKS,
    PENDING,
    POSITION,
    SET,
    SPILL,
)

_MAX_PER_BLOCK = 80  # 64, the end of the segment, and positions written in excess
_TOP = U64(63)
_LETTER_BEFORE, _NUMBER_BEFORE, _SPACE_BEFORE, _BLANK_BEFORE, _OTHER_BEFORE = 0, 1, 2, 3, 4


@inline
def scan_gpt2(
    text: Any, start: int, end: int, table: Any, state: Any, ends: Any, capacity: int
) -> int:
    """See :func:`lmlab.tokenizer.kernels.scan.scan`."""
    count = 0
    position = I64(state[POSITION])
    pending = state[PENDING]
    letters, numbers, spaces = state[MASKS], state[MASKS + 1], state[MASKS + 2]
    blanks, quotes, continuations = state[MASKS + 3], state[MASKS + 4], state[MASKS + 5]
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
            if non_ascii | state[SPILL] != ZERO:
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
            found = found & ~state[CLEAR] | state[SET]
            state[SET], state[CLEAR] = ZERO, ZERO
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
    state[POSITION], state[PENDING] = U64(position), pending
    state[MASKS], state[MASKS + 1], state[MASKS + 2] = letters, numbers, spaces
    state[MASKS + 3], state[MASKS + 4], state[MASKS + 5] = blanks, quotes, continuations
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
    before = state[BEFORE]
    after_letter = letters << ONE | (before & ONE)
    after_number = numbers << ONE | (before >> U64(_NUMBER_BEFORE) & ONE)
    after_space = spaces << ONE | (before >> U64(_SPACE_BEFORE) & ONE)
    after_blank = blanks << ONE | (before >> U64(_BLANK_BEFORE) & ONE)
    after_other = others << ONE | (before >> U64(_OTHER_BEFORE) & ONE)
    state[BEFORE] = (
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
                state[CLEAR] = ONE
            if bit + length < 64:
                found |= ONE << U64(bit + length)
            else:
                state[SET] = ONE << U64(bit + length - 64)
    return found


@inline
def _multibyte_masks(
    text: Any, position: int, end: int, table: Any, state: Any, non_ascii: Any
) -> Any:
    """Masks of the multibyte characters in a block: letters, numbers, spaces, continuation bytes.

    Every byte of a character is marked with its class; a character may extend into the next block.
    """
    letters, numbers, spaces, continuations = ZERO, ZERO, ZERO, ZERO
    spill = I64(state[SPILL])
    state[SPILL] = ZERO
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
            state[SPILL] = U64((bit + length - 64) << 3 | kind)
    return letters, numbers, spaces, continuations
