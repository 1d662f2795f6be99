"""Inlined: finding special tokens, and positions where text may be cut.

Special tokens are passed to kernels as the two arrays of
:func:`lmlab.tokenizer.kernels.specials.pack`. Matches are leftmost, then longest. Usage::

    while position < end:
        stop = find_special(text, position, end, specials, special_text)
        ...  # the segment from position to stop
        if stop < end:
            index = match_special(text, stop, end, specials, special_text)
            position = stop + special_length(specials, index)
        else:
            position = end

:func:`find_cut` finds where a longer text may be cut so that the pre-tokens of the parts are those
of the full text: at the start of a special token, or between a letter or number and a character of
another class, where every pattern of :mod:`lmlab.tokenizer.kernels.kinds` ends a pre-token; never
inside a special token. As for ``scan``, ``PADDING`` bytes after ``end`` must be readable.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.characters import CLASS_BITS, LENGTH_SHIFT, character
from lmlab.tokenizer.kernels.classes import LETTER, NUMBER
from lmlab.tokenizer.kernels.language import I64, ONE, U64, ZERO, inline, match_byte, trailing_zeros
from lmlab.tokenizer.kernels.specials import COUNT, LONGEST, OFFSETS, ONLY_FIRST

_LONGEST_CHARACTER = 4


@inline
def special_length(specials: Any, index: int) -> int:
    """Number of bytes of a special token."""
    return specials[OFFSETS + index + 1] - specials[OFFSETS + index]


@inline
def match_special(text: Any, position: int, end: int, specials: Any, special_text: Any) -> int:
    """Index of the longest special token at ``position`` that ends by ``end``; -1 for none."""
    if special_text[I64(text[position])] == 0:
        return -1
    for index in range(specials[COUNT]):
        offset = specials[OFFSETS + index]
        length = specials[OFFSETS + index + 1] - offset
        if position + length > end:
            continue
        same = 0
        while same < length and text[position + same] == special_text[offset + same]:
            same += 1
        if same == length:
            return index
    return -1


@inline
def find_special(text: Any, position: int, end: int, specials: Any, special_text: Any) -> int:
    """Where the next special token begins; ``end`` if there is none."""
    if specials[COUNT] == 0:
        return end
    only = specials[ONLY_FIRST]
    if only < 0:
        while position < end and match_special(text, position, end, specials, special_text) < 0:
            position += 1
        return position
    while position < end:
        found = match_byte(text, position, only)
        if end - position < 64:
            found &= (ONE << U64(end - position)) - ONE
        while found != ZERO:
            at = position + trailing_zeros(found)
            if match_special(text, at, end, specials, special_text) >= 0:
                return at
            found &= found - ONE
        position += 64
    return end


@inline
def find_cut(text: Any, start: int, end: int, table: Any, specials: Any, special_text: Any) -> int:
    """The last position after ``start`` where the text may be cut; -1 for none.

    The text continues after ``end``.
    """
    longest = max(specials[LONGEST], _LONGEST_CHARACTER)
    position = end - longest
    while position > start:
        if _may_cut(text, start, position, end, table, specials, special_text):
            inside = False
            first = max(start, position - specials[LONGEST] + 1)
            for before in range(first, position):
                index = match_special(text, before, end, specials, special_text)
                if index >= 0 and before + special_length(specials, index) > position:
                    inside = True
            if not inside:
                return position
        position -= 1
    return -1


@inline
def _may_cut(
    text: Any, start: int, position: int, end: int, table: Any, specials: Any, special_text: Any
) -> bool:
    if I64(text[position]) & 0xC0 == 0x80:
        return False
    if match_special(text, position, end, specials, special_text) >= 0:
        return True
    before = position - 1
    while (
        before > start
        and position - before < _LONGEST_CHARACTER
        and (I64(text[before]) & 0xC0 == 0x80)
    ):
        before -= 1
    found = character(text, before, position, table)
    kind = found & CLASS_BITS
    if before + (found >> LENGTH_SHIFT & CLASS_BITS) != position:
        return False
    if kind != LETTER and kind != NUMBER:
        return False
    return character(text, position, end, table) & CLASS_BITS != kind
