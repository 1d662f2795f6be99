"""Inlined: the table of merges, and merging the bytes of one pre-token.

The table, in uint64, starts with open addressing over ``mask + 1`` slots, each with the two ids of
a pair and its rank. A filter of four bits per slot follows, with a bit set for every pair in the
table; it is small enough to stay in the CPU's cache, and most pairs that are looked up have no
merge. The resulting ids by rank come last, two per uint64.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import (
    ALL,
    I64,
    ONE,
    U64,
    ZERO,
    highest_bit,
    inline,
    load_u32,
    multiply_high,
    store_u32,
    trailing_zeros,
)
from lmlab.tokenizer.kernels.layout import ID_BITS, RANK_BITS

_MIXER = U64(0x9E3779B97F4A7C15)
_LOW = U64(0xFFFF_FFFF)
_HALF = U64(32)
_RANK_BITS, _ID_BITS = U64(RANK_BITS), U64(ID_BITS)
_BIT = U64(63)
EMPTY = ALL  # a slot without a pair, and the rank of a pair without a merge

# Up to this many bytes, rescanning every pair is faster than maintaining a heap.
_SHORT = 64
_AT_ONCE = 16


@inline
def find_merge(left: int, right: int, pairs: Any, mask: int) -> Any:
    """The rank of a pair, or ``EMPTY``."""
    key, slot, bit = _slot_of(left, right, mask)
    if pairs[mask + 1 + (bit >> 6)] >> (U64(bit) & _BIT) & ONE == ZERO:
        return EMPTY
    while True:
        found = pairs[slot]
        if found >> _RANK_BITS == key:
            return found & ((ONE << _RANK_BITS) - ONE)
        if found == EMPTY:
            return EMPTY
        slot = (slot + 1) & mask


@inline
def result_of(rank: Any, pairs: Any, mask: int) -> int:
    """The id that a merge results in."""
    return I64(load_u32(pairs, _results(mask) + 4 * I64(rank)))


@inline
def clear_pairs(pairs: Any, mask: int) -> None:
    """Empty the table."""
    for slot in range(mask + 1):
        pairs[slot] = EMPTY
    for position in range(mask + 1, _results(mask) >> 3):
        pairs[position] = ZERO


@inline
def insert_merge(left: int, right: int, rank: int, result: int, pairs: Any, mask: int) -> None:
    """Add a pair unless it is in the table."""
    key, slot, bit = _slot_of(left, right, mask)
    while pairs[slot] != EMPTY:
        if pairs[slot] >> _RANK_BITS == key:
            return
        slot = (slot + 1) & mask
    pairs[slot] = key << _RANK_BITS | U64(rank)
    pairs[mask + 1 + (bit >> 6)] |= ONE << (U64(bit) & _BIT)
    store_u32(pairs, _results(mask) + 4 * rank, result)


@inline
def _slot_of(left: int, right: int, mask: int) -> Any:
    """A pair's key, its first possible slot, and its bit in the filter."""
    key = U64(left) << _ID_BITS | U64(right)
    mixed = multiply_high(key, _MIXER)
    return key, I64(mixed) & mask, I64(mixed >> _HALF) & (4 * mask + 3)


@inline
def _results(mask: int) -> int:
    """Where the resulting ids begin, in bytes."""
    return 8 * (mask + 1) + ((mask + 1) >> 1)


@inline
def merge_word(
    text: Any, start: int, length: int, byte_ids: Any, pairs: Any, mask: int, heap: Any, links: Any
) -> int:
    """Merge the bytes of a pre-token, lowest rank first and leftmost among equals.

    ``heap`` has space for 128 and for ``3 * length`` uint64, ``links`` for ``3 * length`` int32.
    Returns the number of remaining tokens, which are the first in ``links``.
    """
    for position in range(length):
        links[position] = byte_ids[I64(text[start + position])]
    if length <= _SHORT:
        return _merge_by_scanning(length, pairs, mask, heap, links)
    return _merge_by_heap(length, pairs, mask, heap, links)


@inline
def _merge_by_scanning(length: int, pairs: Any, mask: int, heap: Any, ids: Any) -> int:
    """Merge up to 64 bytes. ``heap`` holds ``rank << 32 | position`` of the merge at each position.

    The positions where tokens begin are the bits of a mask. The least rank is searched in groups of
    sixteen, which the CPU compares at once.
    """
    groups = (length + _AT_ONCE - 1) // _AT_ONCE
    for position in range(groups * _AT_ONCE):
        heap[position] = EMPTY
    for position in range(length - 1):
        _note(position, I64(ids[position]), I64(ids[position + 1]), pairs, mask, heap)
    begins = ALL >> U64(64 - length)
    while True:
        best = EMPTY
        if groups == 1:
            live = begins
            while live != ZERO:
                best = min(best, heap[trailing_zeros(live)])
                live &= live - ONE
        else:
            for group in range(groups):
                for position in range(_AT_ONCE):
                    best = min(best, heap[group * _AT_ONCE + position])
        if best == EMPTY:
            break
        position = I64(best & _LOW)
        gone = trailing_zeros(begins & (ALL << U64(position) << ONE))
        begins &= ~(ONE << U64(gone))
        heap[gone] = EMPTY
        heap[position] = EMPTY
        ids[position] = result_of(best >> _HALF, pairs, mask)
        behind = begins & (ALL << U64(position) << ONE)
        if behind != ZERO:
            _note(position, I64(ids[position]), I64(ids[trailing_zeros(behind)]), pairs, mask, heap)
        ahead = begins & ~(ALL << U64(position))
        if ahead != ZERO:
            before = highest_bit(ahead)
            _note(before, I64(ids[before]), I64(ids[position]), pairs, mask, heap)
    count = 0
    while begins != ZERO:
        ids[count] = ids[trailing_zeros(begins)]
        begins &= begins - ONE
        count += 1
    return count


@inline
def _note(position: int, left: int, right: int, pairs: Any, mask: int, heap: Any) -> None:
    """Record the merge of the token at a position with the next one."""
    rank = find_merge(left, right, pairs, mask)
    heap[position] = EMPTY if rank == EMPTY else rank << _HALF | U64(position)


@inline
def _merge_by_heap(length: int, pairs: Any, mask: int, heap: Any, links: Any) -> int:
    """Merge in O(n log n).

    A heap entry holds a rank and a position; it is outdated if the rank there differs.
    """
    after, before, ranks = length, 2 * length, 2 * length  # the first two are offsets in links
    size = 0
    for position in range(length):
        links[after + position] = position + 1
        links[before + position] = position - 1
        rank = EMPTY
        if position + 1 < length:
            rank = find_merge(I64(links[position]), I64(links[position + 1]), pairs, mask)
        heap[ranks + position] = rank
        if rank != EMPTY:
            size = _push(heap, size, rank << _HALF | U64(position))
    while size > 0:
        entry = heap[0]
        size = _pop(heap, size)
        position = I64(entry & _LOW)
        rank = heap[ranks + position]
        if rank != entry >> _HALF:
            continue
        gone = I64(links[after + position])
        behind = I64(links[after + gone])
        links[position] = result_of(rank, pairs, mask)
        links[after + position] = behind
        heap[ranks + gone] = EMPTY
        rank = EMPTY
        if behind < length:
            links[before + behind] = position
            rank = find_merge(I64(links[position]), I64(links[behind]), pairs, mask)
            if rank != EMPTY:
                size = _push(heap, size, rank << _HALF | U64(position))
        heap[ranks + position] = rank
        ahead = I64(links[before + position])
        if ahead >= 0:
            rank = find_merge(I64(links[ahead]), I64(links[position]), pairs, mask)
            heap[ranks + ahead] = rank
            if rank != EMPTY:
                size = _push(heap, size, rank << _HALF | U64(ahead))
    count, position = 0, 0
    while position < length:
        links[count] = links[position]
        count += 1
        position = I64(links[after + position])
    return count


@inline
def _push(heap: Any, size: int, entry: Any) -> int:
    position = size
    while position > 0:
        above = (position - 1) >> 2
        if heap[above] <= entry:
            break
        heap[position] = heap[above]
        position = above
    heap[position] = entry
    return size + 1


@inline
def _pop(heap: Any, size: int) -> int:
    size -= 1
    entry = heap[size]
    position = 0
    while True:
        first = 4 * position + 1
        if first >= size:
            break
        least = first
        for child in range(first + 1, min(first + 4, size)):
            if heap[child] < heap[least]:
                least = child
        if heap[least] >= entry:
            break
        heap[position] = heap[least]
        position = least
    heap[position] = entry
    return size
