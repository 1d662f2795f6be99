"""Inlined: the table of merges, and applying them to the bytes of one pre-token.

The table is open addressing over ``mask + 1`` slots of two uint64: the pair's ids, and its rank and
resulting id, each ``upper << 32 | lower``.
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
    multiply_high,
    trailing_zeros,
)

_MIXER = U64(0x9E3779B97F4A7C15)
_LOW = U64(0xFFFF_FFFF)
_HALF = U64(32)
EMPTY = ALL  # no pair, and no merge of a pair

# Up to this many bytes, looking at every pair again is quicker than keeping a heap.
_SHORT = 64
_AT_ONCE = 16


@inline
def find_merge(left: int, right: int, pairs: Any, mask: int) -> Any:
    """``rank << 32 | id`` of a pair, or ``EMPTY``."""
    key = U64(left) << _HALF | U64(right)
    slot = I64(multiply_high(key, _MIXER)) & mask
    while True:
        found = pairs[2 * slot]
        if found == key:
            return pairs[2 * slot + 1]
        if found == EMPTY:
            return EMPTY
        slot = (slot + 1) & mask


@inline
def insert_merge(left: int, right: int, rank: int, result: int, pairs: Any, mask: int) -> None:
    """Add a pair; one that is there already stays as it is."""
    key = U64(left) << _HALF | U64(right)
    slot = I64(multiply_high(key, _MIXER)) & mask
    while pairs[2 * slot] != EMPTY:
        if pairs[2 * slot] == key:
            return
        slot = (slot + 1) & mask
    pairs[2 * slot] = key
    pairs[2 * slot + 1] = U64(rank) << _HALF | U64(result)


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
    """For up to 64 bytes. ``heap`` holds ``rank << 32 | place`` of each place's merge, then its id.

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
        ids[place] = I64(heap[64 + place])
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
    merge = find_merge(left, right, pairs, mask)
    heap[place] = EMPTY if merge == EMPTY else merge & ~_LOW | U64(place)
    heap[64 + place] = merge & _LOW


@inline
def _merge_by_heap(length: int, pairs: Any, mask: int, heap: Any, links: Any) -> int:
    """O(n log n). A heap's entry is a rank and a place; it is out of date if the merge there is."""
    after, before, merges = length, 2 * length, 2 * length  # the first two lie in links
    size = 0
    for place in range(length):
        links[after + place] = place + 1
        links[before + place] = place - 1
        merge = EMPTY
        if place + 1 < length:
            merge = find_merge(I64(links[place]), I64(links[place + 1]), pairs, mask)
        heap[merges + place] = merge
        if merge != EMPTY:
            size = _push(heap, size, merge & ~_LOW | U64(place))
    while size > 0:
        entry = heap[0]
        size = _pop(heap, size)
        place = I64(entry & _LOW)
        merge = heap[merges + place]
        if merge >> _HALF != entry >> _HALF:
            continue
        gone = I64(links[after + place])
        behind = I64(links[after + gone])
        links[place] = I64(merge & _LOW)
        links[after + place] = behind
        heap[merges + gone] = EMPTY
        merge = EMPTY
        if behind < length:
            links[before + behind] = place
            merge = find_merge(I64(links[place]), I64(links[behind]), pairs, mask)
            if merge != EMPTY:
                size = _push(heap, size, merge & ~_LOW | U64(place))
        heap[merges + place] = merge
        ahead = I64(links[before + place])
        if ahead >= 0:
            merge = find_merge(I64(links[ahead]), I64(links[place]), pairs, mask)
            heap[merges + ahead] = merge
            if merge != EMPTY:
                size = _push(heap, size, merge & ~_LOW | U64(ahead))
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
