"""Kernels that turn text into ids.

Pre-tokens of up to 15 bytes and four ids (three where ids take four bytes) are kept in the table
``words``: lines of 64 bytes, two entries each of four uint64: the bytes and their number (two), the
ids, and the rest of the ids with their number in the upper half. Longer ones, up to 64 bytes and 22
ids, are kept in ``longs``, one entry of 20 uint64 a slot: length and number of ids, bytes, ids.
The tables never grow: a new entry takes the place of the second in its line, which becomes the
first when it is met again, so that what is frequent stays.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import (
    ALL,
    I64,
    ONE,
    U64,
    ZERO,
    inline,
    kernel,
    load_u64,
    multiply_high,
    prefetch,
    store_u32,
    store_u64,
)
from lmlab.tokenizer.kernels.layout import (
    AHEAD,
    ENDS_ROOM,
    ENTRY,
    LONG_ENTRY,
    LONG_IDS,
    LONGEST_KEPT,
    LONGEST_WORD,
    MALFORMED_BYTE,
    MOST_IDS_KEPT,
    NEEDED,
    NUM_IDS,
    SPECIAL_BYTES,
)
from lmlab.tokenizer.kernels.pairs import EMPTY, insert_merge, merge_word
from lmlab.tokenizer.kernels.scan import FINISHED, MALFORMED_AT, begin, scan
from lmlab.tokenizer.kernels.segments import (
    find_cut,
    find_special,
    match_special,
    special_length,
)

_FIRST_MIXER, _SECOND_MIXER = U64(0xA0761D6478BD642F), U64(0xE7037ED1A0B428DB)
_HALF = U64(32)


@kernel("i32* i64 u64* i64")
def fill_pairs(merges: Any, count: int, pairs: Any, mask: int) -> int:
    """Fill the empty table of merges from rows of (left id, right id, resulting id), by rank."""
    for slot in range(2 * (mask + 1)):
        pairs[slot] = EMPTY
    for rank in range(count):
        row = 3 * rank
        left, right, result = I64(merges[row]), I64(merges[row + 1]), I64(merges[row + 2])
        insert_merge(left, right, rank, result, pairs, mask)
    return 0


@kernel("u8* i64 i64 u8* i64* u8*")
def cut(text: Any, start: int, end: int, table: Any, specials: Any, special_text: Any) -> int:
    """See :func:`lmlab.tokenizer.kernels.segments.find_cut`."""
    return find_cut(text, start, end, table, specials, special_text)


@kernel(
    "i64 u8* i64* i64 u8* i64* u8* i64* i32* u64* i64 u64* i64 u64* i64 u64* i32* i64"
    " u64* i64* u64* u8* i64 i64* i64*"
)
def encode(
    kind: int,
    text: Any,
    starts: Any,
    count: int,
    table: Any,
    specials: Any,
    special_text: Any,
    special_ids: Any,
    byte_ids: Any,
    pairs: Any,
    pair_mask: int,
    words: Any,
    word_mask: int,
    longs: Any,
    long_mask: int,
    heap: Any,
    links: Any,
    room: int,
    state: Any,
    ends: Any,
    group: Any,
    out: Any,
    shift: int,
    id_ends: Any,
    control: Any,
) -> int:
    """Encode ``count`` texts that lie one behind the other; text ``i`` begins at ``starts[i]``.

    Ids of ``1 << shift`` bytes are written to ``out``, which has room for one a byte and 16 bytes
    more; ``id_ends[i]`` says how many there are up to the end of text ``i``. Pre-tokens of up to
    ``room`` bytes can be merged in ``heap`` and ``links``.

    Returns 0; or 1 where a longer pre-token was met: the buffers must be made for
    ``control[NEEDED]`` bytes and the call repeated.
    """
    control[NUM_IDS] = 0
    control[SPECIAL_BYTES] = 0
    control[MALFORMED_BYTE] = 0
    for which in range(count):
        place, end = starts[which], starts[which + 1]
        while place < end:
            stop = find_special(text, place, end, specials, special_text)
            if stop > place:
                enough = _encode_segment(
                    kind, text, place, stop, table, byte_ids, pairs, pair_mask, words, word_mask,
                    longs, long_mask, heap, links, room, state, ends, group, out, shift, control,
                )  # fmt: skip
                if not enough:
                    return 1
            place = stop
            if stop < end:
                found = match_special(text, stop, end, specials, special_text)
                length = special_length(specials, found)
                store_u32(out, control[NUM_IDS] << shift, special_ids[found])
                control[NUM_IDS] += 1
                control[SPECIAL_BYTES] += length
                place += length
        id_ends[which] = control[NUM_IDS]
    return 0


@inline
def _encode_segment(
    kind: int, text: Any, start: int, end: int, table: Any, byte_ids: Any, pairs: Any,
    pair_mask: int, words: Any, word_mask: int, longs: Any, long_mask: int, heap: Any, links: Any,
    room: int, state: Any, ends: Any, group: Any, out: Any, shift: int, control: Any,
) -> bool:  # fmt: skip
    """Encode text without special tokens. Returns whether every pre-token found room."""
    written = control[NUM_IDS] << shift
    word = start
    begin(state, start)
    while state[FINISHED] == ZERO:
        count = scan(kind, text, start, end, table, state, ends, ENDS_ROOM)
        # Keys some words ahead, so that the table's lines are on their way when they are needed.
        begins = word
        for place in range(min(AHEAD, count)):
            begins = _ask(text, begins, ends[place], words, word_mask, group, place)
        for place in range(count):
            slot = 3 * (place & (AHEAD - 1))
            stop = ends[place]
            length = stop - word
            hit = False
            if length <= LONGEST_WORD:
                lower, upper = group[slot], group[slot + 1]
                at = I64(group[slot + 2])
                hit = words[at] == lower and words[at + 1] == upper
                if not hit and (words[at + ENTRY] == lower and words[at + ENTRY + 1] == upper):
                    hit = True
                    _swap(words, at)
                if hit:
                    store_u64(out, written, words[at + 2])
                    rest = words[at + 3]
                    store_u64(out, written + 8, rest)
                    written += I64(rest >> _HALF) << shift
            if place + AHEAD < count:
                begins = _ask(
                    text, begins, ends[place + AHEAD], words, word_mask, group, place + AHEAD
                )
            if not hit:
                if length > room:
                    control[NEEDED] = length
                    return False
                written = _encode_new(
                    text, word, length, byte_ids, pairs, pair_mask, words, word_mask, longs,
                    long_mask, heap, links, out, written, shift,
                )  # fmt: skip
            word = stop
    if state[MALFORMED_AT] != ZERO and control[MALFORMED_BYTE] == 0:
        control[MALFORMED_BYTE] = I64(state[MALFORMED_AT])
    control[NUM_IDS] = written >> shift
    return True


@inline
def _ask(text: Any, start: int, stop: int, words: Any, mask: int, group: Any, place: int) -> int:
    """Keep a short pre-token's key and line in ``group``. Returns its end."""
    if stop - start <= LONGEST_WORD:
        slot = 3 * (place & (AHEAD - 1))
        lower, upper = _key(text, start, stop - start)
        line = _line(lower, upper, mask)
        prefetch(words, line << 3)
        group[slot], group[slot + 1] = lower, upper
        group[slot + 2] = U64(line)
    return stop


@inline
def _key(text: Any, start: int, length: int) -> Any:
    """Up to 15 bytes and their number as two uint64."""
    # Without a branch, whose way no processor could tell beforehand.
    lower = load_u64(text, start) & (ALL >> U64(64 - 8 * min(length, 8)))
    upper = load_u64(text, start + 8) & ((ONE << U64(8 * max(length - 8, 0))) - ONE)
    return lower, upper | U64(length) << U64(56)


@inline
def _line(lower: Any, upper: Any, mask: int) -> int:
    """Where a key's line of two entries begins, in uint64."""
    mixed = multiply_high(lower ^ _FIRST_MIXER, upper ^ _SECOND_MIXER)
    return (I64(mixed) & mask) << 3


@inline
def _swap(words: Any, at: int) -> None:
    """Put the second entry of a line first."""
    for place in range(ENTRY):
        first = words[at + place]
        words[at + place] = words[at + ENTRY + place]
        words[at + ENTRY + place] = first


@inline
def _encode_new(
    text: Any, start: int, length: int, byte_ids: Any, pairs: Any, pair_mask: int, words: Any,
    word_mask: int, longs: Any, long_mask: int, heap: Any, links: Any, out: Any, written: int,
    shift: int,
) -> int:  # fmt: skip
    """Encode a pre-token that is not in ``words``, and keep it. Returns the end of the ids."""
    slot = -1
    if length <= LONGEST_KEPT:
        slot = _long_slot(text, start, length, long_mask)
        if _same_long(text, start, length, longs, slot):
            count = I64(longs[slot] >> _HALF)
            for place in range(count):
                packed = longs[slot + LONG_IDS + (place >> 1)] >> U64(32 * (place & 1))
                store_u32(out, written + (place << shift), I64(packed))
            return written + (count << shift)
    count = merge_word(text, start, length, byte_ids, pairs, pair_mask, heap, links)
    for place in range(count):
        store_u32(out, written + (place << shift), I64(links[place]))
    most = 4 if shift == 1 else 3
    if length <= LONGEST_WORD and count <= most:
        lower, upper = _key(text, start, length)
        at = _line(lower, upper, word_mask)
        if words[at + 1] != ZERO:
            at += ENTRY
        words[at], words[at + 1] = lower, upper
        words[at + 2], words[at + 3] = _packed_ids(links, count, shift)
    elif slot >= 0 and count <= MOST_IDS_KEPT:
        longs[slot] = U64(count) << _HALF | U64(length)
        for place in range((length + 7) >> 3):
            longs[slot + 1 + place] = _eight(text, start, length, place)
        for place in range((count + 1) >> 1):
            packed = U64(links[2 * place])
            if 2 * place + 1 < count:
                packed |= U64(links[2 * place + 1]) << _HALF
            longs[slot + LONG_IDS + place] = packed
    return written + (count << shift)


@inline
def _packed_ids(links: Any, count: int, shift: int) -> Any:
    """Up to 16 bytes of ids as they lie in ``out``, the last four replaced by their number."""
    first, second = ZERO, U64(count) << _HALF
    for place in range(count):
        bit = place << (3 + shift)
        if bit < 64:
            first |= U64(links[place]) << U64(bit)
        else:
            second |= U64(links[place])
    return first, second


@inline
def _eight(text: Any, start: int, length: int, place: int) -> Any:
    """The ``place``-th eight bytes of a pre-token, with zeros behind its end."""
    rest = length - 8 * place
    found = load_u64(text, start + 8 * place)
    if rest < 8:
        found &= (ONE << U64(8 * rest)) - ONE
    return found


@inline
def _long_slot(text: Any, start: int, length: int, mask: int) -> int:
    mixed = U64(length) ^ _FIRST_MIXER
    for place in range((length + 7) >> 3):
        mixed = multiply_high(mixed ^ _eight(text, start, length, place), _SECOND_MIXER)
    return (I64(mixed) & mask) * LONG_ENTRY


@inline
def _same_long(text: Any, start: int, length: int, longs: Any, slot: int) -> bool:
    if I64(longs[slot] & (ALL >> _HALF)) != length:
        return False
    for place in range((length + 7) >> 3):
        if longs[slot + 1 + place] != _eight(text, start, length, place):
            return False
    return True
