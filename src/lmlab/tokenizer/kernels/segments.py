"""Inlined: finding special tokens, and places where text may be cut.

Special tokens are handed to kernels as the two arrays of
:func:`lmlab.tokenizer.kernels.specials.pack`. Matches are leftmost, then longest. Usage::

    while place < end:
        stop = find_special(text, place, end, specials, special_text)
        ...  # the segment from place to stop
        if stop < end:
            which = match_special(text, stop, end, specials, special_text)
            place = stop + special_length(specials, which)
        else:
            place = end

:func:`find_cut` finds where a longer text may be cut so that the parts' pre-tokens are those of the
whole: at the start of a special token, or between a letter or number and a character of another
class, where every pattern of :mod:`lmlab.tokenizer.kernels.kinds` ends a pre-token; in neither case
inside a special token. As with ``scan``, ``PADDING`` bytes after ``end`` must be readable.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.characters import CLASS_BITS, LENGTH_SHIFT, character
from lmlab.tokenizer.kernels.classes import LETTER, NUMBER
from lmlab.tokenizer.kernels.language import I64, ONE, U64, ZERO, inline, match_byte, trailing_zeros
from lmlab.tokenizer.kernels.specials import COUNT, LONGEST, OFFSETS, ONLY_FIRST

_LONGEST_CHARACTER = 4


@inline
def special_length(specials: Any, which: int) -> int:
    """Bytes of a special token."""
    return specials[OFFSETS + which + 1] - specials[OFFSETS + which]


@inline
def match_special(text: Any, place: int, end: int, specials: Any, special_text: Any) -> int:
    """The longest special token at ``place`` that ends by ``end``, as its index; -1 for none."""
    if special_text[I64(text[place])] == 0:
        return -1
    for which in range(specials[COUNT]):
        offset = specials[OFFSETS + which]
        length = specials[OFFSETS + which + 1] - offset
        if place + length > end:
            continue
        same = 0
        while same < length and text[place + same] == special_text[offset + same]:
            same += 1
        if same == length:
            return which
    return -1


@inline
def find_special(text: Any, place: int, end: int, specials: Any, special_text: Any) -> int:
    """Where the next special token begins; ``end`` if there is none."""
    if specials[COUNT] == 0:
        return end
    only = specials[ONLY_FIRST]
    if only < 0:
        while place < end and match_special(text, place, end, specials, special_text) < 0:
            place += 1
        return place
    while place < end:
        found = match_byte(text, place, only)
        if end - place < 64:
            found &= (ONE << U64(end - place)) - ONE
        while found != ZERO:
            at = place + trailing_zeros(found)
            if match_special(text, at, end, specials, special_text) >= 0:
                return at
            found &= found - ONE
        place += 64
    return end


@inline
def find_cut(text: Any, start: int, end: int, table: Any, specials: Any, special_text: Any) -> int:
    """The last place after ``start`` where a text that goes on after ``end`` may be cut; or -1."""
    longest = max(specials[LONGEST], _LONGEST_CHARACTER)
    place = end - longest
    while place > start:
        if _may_cut(text, start, place, end, table, specials, special_text):
            inside = False
            first = max(start, place - specials[LONGEST] + 1)
            for before in range(first, place):
                which = match_special(text, before, end, specials, special_text)
                if which >= 0 and before + special_length(specials, which) > place:
                    inside = True
            if not inside:
                return place
        place -= 1
    return -1


@inline
def _may_cut(
    text: Any, start: int, place: int, end: int, table: Any, specials: Any, special_text: Any
) -> bool:
    if I64(text[place]) & 0xC0 == 0x80:
        return False
    if match_special(text, place, end, specials, special_text) >= 0:
        return True
    before = place - 1
    while (
        before > start
        and place - before < _LONGEST_CHARACTER
        and (I64(text[before]) & 0xC0 == 0x80)
    ):
        before -= 1
    found = character(text, before, place, table)
    kind = found & CLASS_BITS
    if before + (found >> LENGTH_SHIFT & CLASS_BITS) != place:
        return False
    if kind != LETTER and kind != NUMBER:
        return False
    return character(text, place, end, table) & CLASS_BITS != kind
