"""Kernels that turn text into ids.

Pre-tokens of up to 15 bytes and four ids (three where ids take four bytes) are kept in the table
``words``, which all threads share: lines of 64 bytes, two entries each of four uint64: the bytes
and their number (two), the ids, and the rest of the ids with their number in the upper half. No
thread waits for another, so an entry may be read while it is being written; the first number is
therefore mixed with a hash of all the others and of the key, and an entry that another's numbers
got into is not found (but for a chance of one in 2**64).

Longer ones, up to 64 bytes and 22 ids, are kept in a thread's ``longs``: first, for each slot,
length and number of ids, then each slot's bytes and ids.

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
    always_inline,
    inline,
    kernel,
    load_shared,
    load_u64,
    multiply_high,
    prefetch,
    store_shared,
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
from lmlab.tokenizer.kernels.pairs import clear_pairs, insert_merge, merge_word
from lmlab.tokenizer.kernels.scan import FINISHED, MALFORMED_AT, begin, scan
from lmlab.tokenizer.kernels.segments import (
    find_cut,
    find_special,
    match_special,
    special_length,
)

_FIRST_MIXER, _SECOND_MIXER = U64(0xA0761D6478BD642F), U64(0xE7037ED1A0B428DB)
_HALF = U64(32)
_NO_KEY = ALL  # of a pre-token that is too long for one


@kernel("i32* i64 u64* i64")
def fill_pairs(merges: Any, count: int, pairs: Any, mask: int) -> int:
    """Make the table of merges from rows of (left id, right id, resulting id), by rank."""
    clear_pairs(pairs, mask)
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
        # A group's keys are asked for before the group before it is looked up, so that the table's
        # lines are on their way when they are needed.
        first = 0
        _ask(text, word, ends, 0, min(AHEAD, count), words, word_mask, group)
        while first < count:
            last = min(first + AHEAD, count)
            if last < count:
                until = min(last + AHEAD, count)
                _ask(text, ends[last - 1], ends, last, until, words, word_mask, group)
            place = first
            while True:
                place, written = _known(words, word_mask, group, place, last, out, written, shift)
                if place == last:
                    break
                begins = word if place == 0 else ends[place - 1]
                length = ends[place] - begins
                if length > room:
                    control[NEEDED] = length
                    return False
                written = _encode_other(
                    text, begins, length, byte_ids, pairs, pair_mask, words, word_mask, longs,
                    long_mask, heap, links, group, place, out, written, shift,
                )  # fmt: skip
                place += 1
            first = last
        if count > 0:
            word = ends[count - 1]
    if state[MALFORMED_AT] != ZERO and control[MALFORMED_BYTE] == 0:
        control[MALFORMED_BYTE] = I64(state[MALFORMED_AT])
    control[NUM_IDS] = written >> shift
    return True


@inline
def _ask(
    text: Any, begins: int, ends: Any, first: int, last: int, words: Any, mask: int, group: Any
) -> None:
    """Keep keys of pre-tokens, and their places in ``words``, in ``group``; ask for their lines."""
    for place in range(first, last):
        stop = ends[place]
        slot = 3 * (place & (2 * AHEAD - 1))
        length = stop - begins
        if length <= LONGEST_WORD:
            lower, upper = _key(text, begins, length)
            mixed = multiply_high(lower ^ _FIRST_MIXER, upper ^ _SECOND_MIXER)
            prefetch(words, _line(mixed, mask) << 3)
            group[slot], group[slot + 1], group[slot + 2] = lower, upper, mixed
        else:
            group[slot + 1], group[slot + 2] = _NO_KEY, ZERO
        begins = stop


@inline
def _known(
    words: Any, mask: int, group: Any, place: int, last: int, out: Any, written: int, shift: int
) -> Any:
    """Write the ids of pre-tokens for as long as they are the first ones of their lines."""
    while place < last:
        slot = 3 * (place & (2 * AHEAD - 1))
        mixed = group[slot + 2]
        at = _line(mixed, mask)
        ids, rest = load_shared(words, at + 2), load_shared(words, at + 3)
        if not _holds(words, at, group[slot], group[slot + 1], mixed, ids, rest):
            break
        store_u64(out, written, ids)
        store_u64(out, written + 8, rest)
        written += I64(rest >> _HALF) << shift
        place += 1
    return place, written


@always_inline
def _holds(words: Any, at: int, lower: Any, upper: Any, mixed: Any, ids: Any, rest: Any) -> bool:
    """Whether an entry is that of a key, and ``ids`` and ``rest`` are what was read of it."""
    return (
        load_shared(words, at) ^ _check(mixed, ids, rest) == lower
        and load_shared(words, at + 1) == upper
    )


@always_inline
def _check(mixed: Any, ids: Any, rest: Any) -> Any:
    """What stands for an entry's key and ids together."""
    return multiply_high(ids ^ mixed, rest ^ _FIRST_MIXER)


@inline
def _key(text: Any, start: int, length: int) -> Any:
    """Up to 15 bytes and their number as two uint64."""
    # Without a branch, whose way no processor could tell beforehand.
    lower = load_u64(text, start) & (ALL >> U64(64 - 8 * min(length, 8)))
    upper = load_u64(text, start + 8) & ((ONE << U64(8 * max(length - 8, 0))) - ONE)
    return lower, upper | U64(length) << U64(56)


@always_inline
def _line(mixed: Any, mask: int) -> int:
    """Where a key's line of two entries begins, in uint64."""
    return (I64(mixed) & mask) << 3


@inline
def _swap(words: Any, at: int) -> None:
    """Put the second entry of a line first."""
    for place in range(at, at + ENTRY):
        first, second = load_shared(words, place), load_shared(words, place + ENTRY)
        store_shared(words, place, second)
        store_shared(words, place + ENTRY, first)


@inline
def _encode_other(
    text: Any, start: int, length: int, byte_ids: Any, pairs: Any, pair_mask: int, words: Any,
    word_mask: int, longs: Any, long_mask: int, heap: Any, links: Any, group: Any, place: int,
    out: Any, written: int, shift: int,
) -> int:  # fmt: skip
    """Encode a pre-token that is not the first of its line; keep it. Returns the end of the ids."""
    found = 3 * (place & (2 * AHEAD - 1))
    lower, upper, mixed = group[found], group[found + 1], group[found + 2]
    at = _line(mixed, word_mask)
    ids, rest = load_shared(words, at + ENTRY + 2), load_shared(words, at + ENTRY + 3)
    if _holds(words, at + ENTRY, lower, upper, mixed, ids, rest):
        _swap(words, at)
        store_u64(out, written, ids)
        store_u64(out, written + 8, rest)
        return written + (I64(rest >> _HALF) << shift)
    slot, entry = -1, 0
    if length <= LONGEST_KEPT:
        slot = _long_slot(text, start, length, long_mask)
        entry = long_mask + 1 + slot * LONG_ENTRY
        if _same_long(text, start, length, longs, slot, entry):
            count = I64(longs[slot] >> _HALF)
            for place in range(count):
                packed = longs[entry + LONG_IDS + (place >> 1)] >> U64(32 * (place & 1))
                store_u32(out, written + (place << shift), I64(packed))
            return written + (count << shift)
    count = merge_word(text, start, length, byte_ids, pairs, pair_mask, heap, links)
    for place in range(count):
        store_u32(out, written + (place << shift), I64(links[place]))
    most = 4 if shift == 1 else 3
    if length <= LONGEST_WORD and count <= most:
        if load_shared(words, at + 1) != ZERO:
            at += ENTRY
        ids, rest = _packed_ids(links, count, shift)
        store_shared(words, at, lower ^ _check(mixed, ids, rest))
        store_shared(words, at + 1, upper)
        store_shared(words, at + 2, ids)
        store_shared(words, at + 3, rest)
    elif slot >= 0 and count <= MOST_IDS_KEPT:
        longs[slot] = U64(count) << _HALF | U64(length)
        for place in range((length + 7) >> 3):
            longs[entry + place] = _eight(text, start, length, place)
        for place in range((count + 1) >> 1):
            packed = U64(links[2 * place])
            if 2 * place + 1 < count:
                packed |= U64(links[2 * place + 1]) << _HALF
            longs[entry + LONG_IDS + place] = packed
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
    return I64(mixed) & mask


@inline
def _same_long(text: Any, start: int, length: int, longs: Any, slot: int, entry: int) -> bool:
    if I64(longs[slot] & (ALL >> _HALF)) != length:
        return False
    for place in range((length + 7) >> 3):
        if longs[entry + place] != _eight(text, start, length, place):
            return False
    return True
