"""Inlined: the table of merges, and applying them to the bytes of one pre-token.

The table, in uint64, is open addressing over ``mask + 1`` slots, each with a pair's ids and its
rank; then a filter of four bits a slot, where the bit of every pair in the table is set. It is
small enough to stay near the processor, and most pairs that are looked for have no merge. Then, two
in each uint64, the ids that result by rank.
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

# Up to this many bytes, looking at every pair again is quicker than keeping a heap.
_SHORT = 64
_AT_ONCE = 16


@inline
def find_merge(left: int, right: int, pairs: Any, mask: int) -> Any:
    """The rank of a pair, or ``EMPTY``."""
    key, slot, bit = _places(left, right, mask)
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
    """The id of a merge."""
    return I64(load_u32(pairs, _results(mask) + 4 * I64(rank)))


@inline
def clear_pairs(pairs: Any, mask: int) -> None:
    """Make the table empty."""
    for slot in range(mask + 1):
        pairs[slot] = EMPTY
    for place in range(mask + 1, _results(mask) >> 3):
        pairs[place] = ZERO


@inline
def insert_merge(left: int, right: int, rank: int, result: int, pairs: Any, mask: int) -> None:
    """Add a pair; one that is there already stays as it is."""
    key, slot, bit = _places(left, right, mask)
    while pairs[slot] != EMPTY:
        if pairs[slot] >> _RANK_BITS == key:
            return
        slot = (slot + 1) & mask
    pairs[slot] = key << _RANK_BITS | U64(rank)
    pairs[mask + 1 + (bit >> 6)] |= ONE << (U64(bit) & _BIT)
    store_u32(pairs, _results(mask) + 4 * rank, result)


@inline
def _places(left: int, right: int, mask: int) -> Any:
    """A pair's key, the first slot that it may be in, and its bit of the filter."""
    key = U64(left) << _ID_BITS | U64(right)
    mixed = multiply_high(key, _MIXER)
    return key, I64(mixed) & mask, I64(mixed >> _HALF) & (4 * mask + 3)


@inline
def _results(mask: int) -> int:
    """Where the ids begin, in bytes."""
    return 8 * (mask + 1) + ((mask + 1) >> 1)


@inline
def merge_word(
    text: Any, start: int, length: int, byte_ids: Any, pairs: Any, mask: int, heap: Any, links: Any
) -> int:
    """Merge the bytes of a pre-token, lowest rank first and leftmost among equals.

    ``heap`` has room for 128 and for ``3 * length`` uint64, ``links`` for ``3 * length`` int32.
    Returns how many tokens are left; they are the first in ``links``.
    """
    for place in range(length):
        links[place] = byte_ids[I64(text[start + place])]
    if length <= _SHORT:
        return _merge_by_scanning(length, pairs, mask, heap, links)
    return _merge_by_heap(length, pairs, mask, heap, links)


@inline
def _merge_by_scanning(length: int, pairs: Any, mask: int, heap: Any, ids: Any) -> int:
    """For up to 64 bytes. ``heap`` holds ``rank << 32 | place`` of each place's merge.

    The places that tokens begin at are the bits of a mask, and the least rank is looked for in
    groups of sixteen, which the processor compares at once.
    """
    groups = (length + _AT_ONCE - 1) // _AT_ONCE
    for place in range(groups * _AT_ONCE):
        heap[place] = EMPTY
    for place in range(length - 1):
        _note(place, I64(ids[place]), I64(ids[place + 1]), pairs, mask, heap)
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
                for place in range(_AT_ONCE):
                    best = min(best, heap[group * _AT_ONCE + place])
        if best == EMPTY:
            break
        place = I64(best & _LOW)
        gone = trailing_zeros(begins & (ALL << U64(place) << ONE))
        begins &= ~(ONE << U64(gone))
        heap[gone] = EMPTY
        heap[place] = EMPTY
        ids[place] = result_of(best >> _HALF, pairs, mask)
        behind = begins & (ALL << U64(place) << ONE)
        if behind != ZERO:
            _note(place, I64(ids[place]), I64(ids[trailing_zeros(behind)]), pairs, mask, heap)
        ahead = begins & ~(ALL << U64(place))
        if ahead != ZERO:
            before = highest_bit(ahead)
            _note(before, I64(ids[before]), I64(ids[place]), pairs, mask, heap)
    count = 0
    while begins != ZERO:
        ids[count] = ids[trailing_zeros(begins)]
        begins &= begins - ONE
        count += 1
    return count


@inline
def _note(place: int, left: int, right: int, pairs: Any, mask: int, heap: Any) -> None:
    """Put down the merge of the token at a place with the one behind it."""
    rank = find_merge(left, right, pairs, mask)
    heap[place] = EMPTY if rank == EMPTY else rank << _HALF | U64(place)


@inline
def _merge_by_heap(length: int, pairs: Any, mask: int, heap: Any, links: Any) -> int:
    """O(n log n). A heap's entry is a rank and a place; it is out of date if the merge there is."""
    after, before, ranks = length, 2 * length, 2 * length  # the first two lie in links
    size = 0
    for place in range(length):
        links[after + place] = place + 1
        links[before + place] = place - 1
        rank = EMPTY
        if place + 1 < length:
            rank = find_merge(I64(links[place]), I64(links[place + 1]), pairs, mask)
        heap[ranks + place] = rank
        if rank != EMPTY:
            size = _push(heap, size, rank << _HALF | U64(place))
    while size > 0:
        entry = heap[0]
        size = _pop(heap, size)
        place = I64(entry & _LOW)
        rank = heap[ranks + place]
        if rank != entry >> _HALF:
            continue
        gone = I64(links[after + place])
        behind = I64(links[after + gone])
        links[place] = result_of(rank, pairs, mask)
        links[after + place] = behind
        heap[ranks + gone] = EMPTY
        rank = EMPTY
        if behind < length:
            links[before + behind] = place
            rank = find_merge(I64(links[place]), I64(links[behind]), pairs, mask)
            if rank != EMPTY:
                size = _push(heap, size, rank << _HALF | U64(place))
        heap[ranks + place] = rank
        ahead = I64(links[before + place])
        if ahead >= 0:
            rank = find_merge(I64(links[ahead]), I64(links[place]), pairs, mask)
            heap[ranks + ahead] = rank
            if rank != EMPTY:
                size = _push(heap, size, rank << _HALF | U64(ahead))
    count, place = 0, 0
    while place < length:
        links[count] = links[place]
        count += 1
        place = I64(links[after + place])
    return count


@inline
def _push(heap: Any, size: int, entry: Any) -> int:
    place = size
    while place > 0:
        above = (place - 1) >> 2
        if heap[above] <= entry:
            break
        heap[place] = heap[above]
        place = above
    heap[place] = entry
    return size + 1


@inline
def _pop(heap: Any, size: int) -> int:
    size -= 1
    entry = heap[size]
    place = 0
    while True:
        first = 4 * place + 1
        if first >= size:
            break
        least = first
        for child in range(first + 1, min(first + 4, size)):
            if heap[child] < heap[least]:
                least = child
        if heap[least] >= entry:
            break
        heap[place] = heap[least]
        place = least
    heap[place] = entry
    return size
