"""Kernels that encode text as ids.

All threads share the table ``words`` of pre-tokens of up to 15 bytes and four ids (three where ids
take four bytes). It consists of lines of 64 bytes with two entries of four uint64 each: the bytes
with their number (two), the ids, and the remaining ids with the number of ids in the upper half.
Threads never wait for each other, so an entry may be read while it is being written. The first
uint64 is therefore combined with a hash of the others and of the key: an entry mixed from two
writes does not match, except with probability 2**-64.

Longer pre-tokens, of up to 64 bytes and 22 ids, are cached per thread in ``long_words``: for each
slot first the length and the number of ids, then each slot's bytes and ids.

The tables never grow: a new entry replaces the second in its line, which moves to the front when it
is found again, so frequent pre-tokens stay.
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
    ENDS_CAPACITY,
    ENTRY,
    LONG_ENTRY,
    LONG_IDS,
    LONGEST_CACHED,
    LONGEST_SHORT,
    MALFORMED_BYTE,
    MAX_CACHED_IDS,
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
_NO_KEY = ALL  # for a pre-token that is too long


@kernel("i32* i64 u64* i64")
def fill_pairs(merges: Any, count: int, pairs: Any, mask: int) -> int:
    """Fill the table of merges from rows of (left id, right id, resulting id), by rank."""
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
    long_words: Any,
    long_mask: int,
    heap: Any,
    links: Any,
    max_length: int,
    state: Any,
    ends: Any,
    group: Any,
    out: Any,
    shift: int,
    id_ends: Any,
    control: Any,
) -> int:
    """Encode ``count`` concatenated texts; text ``i`` begins at ``starts[i]``.

    Ids of ``1 << shift`` bytes are written to ``out``, which has space for one per byte of text and
    16 bytes more; ``id_ends[i]`` is the number of ids up to the end of text ``i``. ``heap`` and
    ``links`` have space for pre-tokens of up to ``max_length`` bytes.

    Returns 0, or 1 if a pre-token was longer: enlarge these buffers to ``control[NEEDED]`` bytes
    and call again.
    """
    control[NUM_IDS] = 0
    control[SPECIAL_BYTES] = 0
    control[MALFORMED_BYTE] = 0
    for number in range(count):
        position, end = starts[number], starts[number + 1]
        while position < end:
            stop = find_special(text, position, end, specials, special_text)
            if stop > position:
                has_room = _encode_segment(
                    kind, text, position, stop, table, byte_ids, pairs, pair_mask, words, word_mask,
                    long_words, long_mask, heap, links, max_length, state, ends, group, out, shift,
                    control,
                )  # fmt: skip
                if not has_room:
                    return 1
            position = stop
            if stop < end:
                found = match_special(text, stop, end, specials, special_text)
                length = special_length(specials, found)
                store_u32(out, control[NUM_IDS] << shift, special_ids[found])
                control[NUM_IDS] += 1
                control[SPECIAL_BYTES] += length
                position += length
        id_ends[number] = control[NUM_IDS]
    return 0


@inline
def _encode_segment(
    kind: int, text: Any, start: int, end: int, table: Any, byte_ids: Any, pairs: Any,
    pair_mask: int, words: Any, word_mask: int, long_words: Any, long_mask: int, heap: Any,
    links: Any, max_length: int, state: Any, ends: Any, group: Any, out: Any, shift: int,
    control: Any,
) -> bool:  # fmt: skip
    """Encode text without special tokens. Returns False if a pre-token was too long."""
    written = control[NUM_IDS] << shift
    word = start
    begin(state, start)
    while state[FINISHED] == ZERO:
        count = scan(kind, text, start, end, table, state, ends, ENDS_CAPACITY)
        # Prefetch the lines of each group before the previous group is looked up.
        first = 0
        _prefetch_group(text, word, ends, 0, min(AHEAD, count), words, word_mask, group)
        while first < count:
            last = min(first + AHEAD, count)
            if last < count:
                until = min(last + AHEAD, count)
                _prefetch_group(text, ends[last - 1], ends, last, until, words, word_mask, group)
            index = first
            while True:
                index, written = _copy_known(
                    words, word_mask, group, index, last, out, written, shift
                )
                if index == last:
                    break
                begins = word if index == 0 else ends[index - 1]
                length = ends[index] - begins
                if length > max_length:
                    control[NEEDED] = length
                    return False
                written = _encode_other(
                    text, begins, length, byte_ids, pairs, pair_mask, words, word_mask, long_words,
                    long_mask, heap, links, group, index, out, written, shift,
                )  # fmt: skip
                index += 1
            first = last
        if count > 0:
            word = ends[count - 1]
    if state[MALFORMED_AT] != ZERO and control[MALFORMED_BYTE] == 0:
        control[MALFORMED_BYTE] = I64(state[MALFORMED_AT])
    control[NUM_IDS] = written >> shift
    return True


@inline
def _prefetch_group(
    text: Any, begins: int, ends: Any, first: int, last: int, words: Any, mask: int, group: Any
) -> None:
    """Store keys and hashes of pre-tokens in ``group``, and prefetch their lines of ``words``."""
    for index in range(first, last):
        stop = ends[index]
        slot = 3 * (index & (2 * AHEAD - 1))
        length = stop - begins
        if length <= LONGEST_SHORT:
            lower, upper = _key(text, begins, length)
            mixed = multiply_high(lower ^ _FIRST_MIXER, upper ^ _SECOND_MIXER)
            prefetch(words, _line(mixed, mask) << 3)
            group[slot], group[slot + 1], group[slot + 2] = lower, upper, mixed
        else:
            group[slot + 1], group[slot + 2] = _NO_KEY, ZERO
        begins = stop


@inline
def _copy_known(
    words: Any, mask: int, group: Any, index: int, last: int, out: Any, written: int, shift: int
) -> Any:
    """Write the ids of pre-tokens for as long as each is the first entry of its line."""
    while index < last:
        slot = 3 * (index & (2 * AHEAD - 1))
        mixed = group[slot + 2]
        at = _line(mixed, mask)
        ids, rest = load_shared(words, at + 2), load_shared(words, at + 3)
        if not _matches(words, at, group[slot], group[slot + 1], mixed, ids, rest):
            break
        store_u64(out, written, ids)
        store_u64(out, written + 8, rest)
        written += I64(rest >> _HALF) << shift
        index += 1
    return index, written


@always_inline
def _matches(words: Any, at: int, lower: Any, upper: Any, mixed: Any, ids: Any, rest: Any) -> bool:
    """Whether an entry has a key, where ``ids`` and ``rest`` were read from that entry."""
    return (
        load_shared(words, at) ^ _checksum(mixed, ids, rest) == lower
        and load_shared(words, at + 1) == upper
    )


@always_inline
def _checksum(mixed: Any, ids: Any, rest: Any) -> Any:
    """A hash of an entry's key and ids."""
    return multiply_high(ids ^ mixed, rest ^ _FIRST_MIXER)


@inline
def _key(text: Any, start: int, length: int) -> Any:
    """Up to 15 bytes and their number as two uint64."""
    # Without a branch, which no CPU could predict.
    lower = load_u64(text, start) & (ALL >> U64(64 - 8 * min(length, 8)))
    upper = load_u64(text, start + 8) & ((ONE << U64(8 * max(length - 8, 0))) - ONE)
    return lower, upper | U64(length) << U64(56)


@always_inline
def _line(mixed: Any, mask: int) -> int:
    """Index of a key's line of two entries, in uint64."""
    return (I64(mixed) & mask) << 3


@inline
def _swap(words: Any, at: int) -> None:
    """Move the second entry of a line to the front."""
    for index in range(at, at + ENTRY):
        first, second = load_shared(words, index), load_shared(words, index + ENTRY)
        store_shared(words, index, second)
        store_shared(words, index + ENTRY, first)


@inline
def _encode_other(
    text: Any, start: int, length: int, byte_ids: Any, pairs: Any, pair_mask: int, words: Any,
    word_mask: int, long_words: Any, long_mask: int, heap: Any, links: Any, group: Any, index: int,
    out: Any, written: int, shift: int,
) -> int:  # fmt: skip
    """Encode and cache a pre-token that is not the first entry of its line.

    Returns the end of the ids.
    """
    found = 3 * (index & (2 * AHEAD - 1))
    lower, upper, mixed = group[found], group[found + 1], group[found + 2]
    at = _line(mixed, word_mask)
    ids, rest = load_shared(words, at + ENTRY + 2), load_shared(words, at + ENTRY + 3)
    if _matches(words, at + ENTRY, lower, upper, mixed, ids, rest):
        _swap(words, at)
        store_u64(out, written, ids)
        store_u64(out, written + 8, rest)
        return written + (I64(rest >> _HALF) << shift)
    slot, entry = -1, 0
    if length <= LONGEST_CACHED:
        slot = _long_slot(text, start, length, long_mask)
        entry = long_mask + 1 + slot * LONG_ENTRY
        if _same_long(text, start, length, long_words, slot, entry):
            count = I64(long_words[slot] >> _HALF)
            for index in range(count):
                packed = long_words[entry + LONG_IDS + (index >> 1)] >> U64(32 * (index & 1))
                store_u32(out, written + (index << shift), I64(packed))
            return written + (count << shift)
    count = merge_word(text, start, length, byte_ids, pairs, pair_mask, heap, links)
    for index in range(count):
        store_u32(out, written + (index << shift), I64(links[index]))
    most = 4 if shift == 1 else 3
    if length <= LONGEST_SHORT and count <= most:
        if load_shared(words, at + 1) != ZERO:
            at += ENTRY
        ids, rest = _packed_ids(links, count, shift)
        store_shared(words, at, lower ^ _checksum(mixed, ids, rest))
        store_shared(words, at + 1, upper)
        store_shared(words, at + 2, ids)
        store_shared(words, at + 3, rest)
    elif slot >= 0 and count <= MAX_CACHED_IDS:
        long_words[slot] = U64(count) << _HALF | U64(length)
        for index in range((length + 7) >> 3):
            long_words[entry + index] = _eight_bytes(text, start, length, index)
        for index in range((count + 1) >> 1):
            packed = U64(links[2 * index])
            if 2 * index + 1 < count:
                packed |= U64(links[2 * index + 1]) << _HALF
            long_words[entry + LONG_IDS + index] = packed
    return written + (count << shift)


@inline
def _packed_ids(links: Any, count: int, shift: int) -> Any:
    """Up to 16 bytes of ids as in ``out``, the last four replaced by the number of ids."""
    first, second = ZERO, U64(count) << _HALF
    for index in range(count):
        bit = index << (3 + shift)
        if bit < 64:
            first |= U64(links[index]) << U64(bit)
        else:
            second |= U64(links[index])
    return first, second


@inline
def _eight_bytes(text: Any, start: int, length: int, index: int) -> Any:
    """The ``index``-th eight bytes of a pre-token, padded with zeros."""
    rest = length - 8 * index
    found = load_u64(text, start + 8 * index)
    if rest < 8:
        found &= (ONE << U64(8 * rest)) - ONE
    return found


@inline
def _long_slot(text: Any, start: int, length: int, mask: int) -> int:
    mixed = U64(length) ^ _FIRST_MIXER
    for index in range((length + 7) >> 3):
        mixed = multiply_high(mixed ^ _eight_bytes(text, start, length, index), _SECOND_MIXER)
    return I64(mixed) & mask


@inline
def _same_long(text: Any, start: int, length: int, long_words: Any, slot: int, entry: int) -> bool:
    if I64(long_words[slot] & (ALL >> _HALF)) != length:
        return False
    for index in range((length + 7) >> 3):
        if long_words[entry + index] != _eight_bytes(text, start, length, index):
            return False
    return True
