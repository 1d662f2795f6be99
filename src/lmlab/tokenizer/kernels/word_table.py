"""Inlined: counting a word in the table of short words or in that of long ones.

``short`` has SHORT_FIELDS uint64 per slot: the word's bytes, with its size in the last of 16, and
its count. ``long`` has LONG_FIELDS int64 per slot and refers to bytes in ``long_text``. Both use
linear probing.
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
    load_u64,
    multiply_high,
)
from lmlab.tokenizer.kernels.word_state import (
    LONG,
    LONG_FIELDS,
    LONG_SIZE,
    SHORT,
    SHORT_BYTES,
    SHORT_FIELDS,
    SHORT_SIZE,
    TEXT,
)

Array = Any

_MIX_1, _MIX_2 = U64(0x9E3779B97F4A7C15), U64(0xD6E8FEB86659FD93)


@inline
def short_hash(low: Any, high: Any) -> int:
    """Hash of a short word; not negative."""
    return I64(multiply_high(low ^ _MIX_1, high ^ _MIX_2) >> ONE)


@inline
def low_half(text: Array, start: int, size: int) -> Any:
    """The first eight bytes of a short word."""
    return load_u64(text, start) & (ALL >> U64(64 - 8 * min(size, 8)))


@inline
def high_half(text: Array, start: int, size: int) -> Any:
    """The other bytes of a short word, and its size in the last one."""
    mask = (ONE << U64(8 * max(size - 8, 0))) - ONE
    return load_u64(text, start + 8) & mask | U64(size) << U64(56)


@inline
def add_short(counter: Array, short: Array, low: Any, high: Any, slot: int, count: int) -> None:
    """Add to the count of a short word, probing from ``slot``."""
    at = SHORT_FIELDS * slot
    while short[at] != low or short[at + 1] != high:
        if short[at + 1] == ZERO:
            short[at] = low
            short[at + 1] = high
            counter[SHORT] += 1
            counter[SHORT_BYTES] += I64(high >> U64(56))
            break
        slot = (slot + 1) & (counter[SHORT_SIZE] - 1)
        at = SHORT_FIELDS * slot
    short[at + 2] += U64(count)


@inline
def long_hash(text: Array, start: int, size: int) -> int:
    """Hash of a word of eight bytes or more; positive."""
    value = U64(size) * _MIX_1
    for position in range(start, start + size - 8, 8):
        value = multiply_high(value ^ load_u64(text, position), _MIX_2)
    value = multiply_high(value ^ load_u64(text, start + size - 8), _MIX_1)
    return I64(value >> ONE) | 1


@inline
def add_long(
    counter: Array,
    long: Array,
    long_text: Array,
    text: Array,
    start: int,
    size: int,
    hash_value: int,
    count: int,
) -> None:
    """Add to the count of a long word, given by its bytes in ``text``."""
    mask = counter[LONG_SIZE] - 1
    slot = (hash_value >> 1) & mask
    while True:
        at = LONG_FIELDS * slot
        if long[at] == 0:
            long[at] = hash_value
            long[at + 1] = counter[TEXT]
            long[at + 2] = size
            long[at + 3] = count
            for offset in range(size):
                long_text[counter[TEXT] + offset] = text[start + offset]
            counter[LONG] += 1
            counter[TEXT] += size
            return
        if long[at] == hash_value and long[at + 2] == size:
            other = long[at + 1]
            offset = 0
            while offset < size and long_text[other + offset] == text[start + offset]:
                offset += 1
            if offset == size:
                long[at + 3] += count
                return
        slot = (slot + 1) & mask
