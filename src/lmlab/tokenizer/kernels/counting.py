"""Kernels that count the pre-tokens of a text."""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import I64, U64, ZERO, kernel, prefetch
from lmlab.tokenizer.kernels.scan import FINISHED, MALFORMED_AT, begin, scan
from lmlab.tokenizer.kernels.segments import (
    find_cut,
    find_special,
    match_special,
    special_length,
)
from lmlab.tokenizer.kernels.word_state import (
    BATCH,
    DONE,
    FOUND,
    GROW_LONG,
    GROW_SHORT,
    GROW_TEXT,
    IN_SEGMENT,
    LONG,
    LONG_FIELDS,
    LONG_SIZE,
    LONGEST_SHORT,
    MALFORMED,
    NEEDED,
    NEXT,
    POSITION,
    SHORT,
    SHORT_BYTES,
    SHORT_FIELDS,
    SHORT_SIZE,
    STOP,
    TEXT,
    TEXT_SIZE,
    WORD,
)
from lmlab.tokenizer.kernels.word_table import (
    add_long,
    add_short,
    high_half,
    long_hash,
    low_half,
    short_hash,
)

Array = Any


@kernel("i64 u8* i64 u8* i64* u8* u64* i64* i64* i64* u64* i64* u8*")
def count(
    kind: int,
    text: Array,
    end: int,
    table: Array,
    specials: Array,
    special_text: Array,
    state: Array,
    ends: Array,
    slots: Array,
    counter: Array,
    short: Array,
    long: Array,
    long_text: Array,
) -> int:
    """Count the words from ``counter[POSITION]`` to ``end``.

    ``ends`` and ``slots`` have space for BATCH. Returns DONE, or a code that says which buffer to
    enlarge before the next call.
    """
    while True:
        found = counter[FOUND]
        if found > 0:
            # Every word may be new.
            if 8 * (counter[SHORT] + found) > 5 * counter[SHORT_SIZE]:
                return GROW_SHORT
            if 8 * (counter[LONG] + found) > 5 * counter[LONG_SIZE]:
                return GROW_LONG
            counter[NEEDED] = counter[TEXT] + ends[found - 1] - counter[WORD]
            if counter[NEEDED] > counter[TEXT_SIZE]:
                return GROW_TEXT
            mask = counter[SHORT_SIZE] - 1
            first = counter[WORD]
            start = first
            for index in range(found):
                size = ends[index] - start
                slot = mask & short_hash(low_half(text, start, size), high_half(text, start, size))
                slots[index] = slot
                prefetch(short, slot * (8 * SHORT_FIELDS))
                start = ends[index]
            start = first
            for index in range(found):
                size = ends[index] - start
                if size <= LONGEST_SHORT:
                    add_short(
                        counter, short, low_half(text, start, size),
                        high_half(text, start, size), slots[index], 1,
                    )  # fmt: skip
                else:
                    add_long(
                        counter, long, long_text, text, start, size,
                        long_hash(text, start, size), 1,
                    )  # fmt: skip
                start = ends[index]
            counter[WORD] = start
            counter[FOUND] = 0
        if counter[IN_SEGMENT] and state[FINISHED] != ZERO:
            if counter[MALFORMED] == 0:
                counter[MALFORMED] = I64(state[MALFORMED_AT])
            counter[IN_SEGMENT] = 0
            counter[POSITION] = counter[STOP]
            if counter[STOP] < end:
                which = match_special(text, counter[STOP], end, specials, special_text)
                counter[POSITION] += special_length(specials, which)
        if not counter[IN_SEGMENT]:
            if counter[POSITION] >= end:
                return DONE
            counter[STOP] = find_special(text, counter[POSITION], end, specials, special_text)
            counter[WORD] = counter[POSITION]
            counter[IN_SEGMENT] = 1
            begin(state, counter[POSITION])
        counter[FOUND] = scan(
            kind, text, counter[POSITION], counter[STOP], table, state, ends, BATCH
        )


@kernel("i64* u64* i64 u64*")
def refill_short(counter: Array, old: Array, old_size: int, short: Array) -> int:
    """Copy all short words of a table to a larger, empty one."""
    counter[SHORT] = 0
    bytes_before = counter[SHORT_BYTES]
    for slot in range(old_size):
        at = SHORT_FIELDS * slot
        if old[at + 1] != ZERO:
            add_short(
                counter, short, old[at], old[at + 1],
                short_hash(old[at], old[at + 1]) & (counter[SHORT_SIZE] - 1), I64(old[at + 2]),
            )  # fmt: skip
    counter[SHORT_BYTES] = bytes_before
    return DONE


@kernel("i64* i64* i64 i64*")
def refill_long(counter: Array, old: Array, old_size: int, long: Array) -> int:
    """Copy all long words of a table to a larger, empty one; their text stays in place."""
    mask = counter[LONG_SIZE] - 1
    for slot in range(old_size):
        at = LONG_FIELDS * slot
        if old[at] != 0:
            write_at = (old[at] >> 1) & mask
            while long[LONG_FIELDS * write_at] != 0:
                write_at = (write_at + 1) & mask
            for field in range(LONG_FIELDS):
                long[LONG_FIELDS * write_at + field] = old[at + field]
    return DONE


@kernel("i64* u64* i64* u8* i64* u64* i64* u8*")
def absorb(
    counter: Array,
    short: Array,
    long: Array,
    long_text: Array,
    other: Array,
    other_short: Array,
    other_long: Array,
    other_text: Array,
) -> int:
    """Add all counts of ``other``. Returns like :func:`count`."""
    short_size = other[SHORT_SIZE]
    while other[NEXT] < short_size:
        at = SHORT_FIELDS * other[NEXT]
        if other_short[at + 1] != ZERO:
            if 8 * (counter[SHORT] + 1) > 5 * counter[SHORT_SIZE]:
                return GROW_SHORT
            low, high = other_short[at], other_short[at + 1]
            slot = short_hash(low, high) & (counter[SHORT_SIZE] - 1)
            add_short(counter, short, low, high, slot, I64(other_short[at + 2]))
        other[NEXT] += 1
    while other[NEXT] < short_size + other[LONG_SIZE]:
        at = LONG_FIELDS * (other[NEXT] - short_size)
        if other_long[at] != 0:
            if 8 * (counter[LONG] + 1) > 5 * counter[LONG_SIZE]:
                return GROW_LONG
            counter[NEEDED] = counter[TEXT] + other_long[at + 2]
            if counter[NEEDED] > counter[TEXT_SIZE]:
                return GROW_TEXT
            add_long(
                counter, long, long_text, other_text, other_long[at + 1], other_long[at + 2],
                other_long[at], other_long[at + 3],
            )  # fmt: skip
        other[NEXT] += 1
    return DONE


@kernel("i64* u64* i64* u8* u8* i64* i64*")
def list_words(
    counter: Array,
    short: Array,
    long: Array,
    long_text: Array,
    data: Array,
    starts: Array,
    counts: Array,
) -> int:
    """Write the words of two bytes or more as a ``WordCounts``; return their number."""
    data[0] = 0
    write_at = 1
    word = 0
    for slot in range(counter[SHORT_SIZE]):
        at = SHORT_FIELDS * slot
        high = short[at + 1]
        size = I64(high >> U64(56))
        if size < 2:
            continue
        starts[word] = write_at
        counts[word] = I64(short[at + 2])
        word += 1
        low = short[at]
        for offset in range(size):
            if offset < 8:
                data[write_at + offset] = (low >> U64(8 * offset)) & U64(255)
            else:
                data[write_at + offset] = (high >> U64(8 * offset - 64)) & U64(255)
        data[write_at + size] = 0
        write_at += size + 1
    for slot in range(counter[LONG_SIZE]):
        at = LONG_FIELDS * slot
        if long[at] == 0:
            continue
        starts[word] = write_at
        counts[word] = long[at + 3]
        word += 1
        size = long[at + 2]
        for offset in range(size):
            data[write_at + offset] = long_text[long[at + 1] + offset]
        data[write_at + size] = 0
        write_at += size + 1
    starts[word] = write_at
    return word


@kernel("u8* i64 u8* i64* u8*")
def cut(text: Array, end: int, table: Array, specials: Array, special_text: Array) -> int:
    """See :func:`lmlab.tokenizer.kernels.segments.find_cut`."""
    return find_cut(text, 0, end, table, specials, special_text)
