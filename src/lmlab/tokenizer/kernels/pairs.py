"""Inlined: the table of merges, and applying them to the bytes of one pre-token.

The table is open addressing over ``mask + 1`` slots of two uint64: the pair's ids, and its rank and
resulting id, each ``upper << 32 | lower``.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import ALL, I64, U64, inline, multiply_high

_MIXER = U64(0x9E3779B97F4A7C15)
_LOW = U64(0xFFFF_FFFF)
_HALF = U64(32)
EMPTY = ALL  # no pair, and no merge of a pair

# Up to this many bytes, looking at every pair again is quicker than keeping a heap.
_SHORT = 96


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

    ``heap`` has room for ``3 * length`` uint64 and ``links`` for ``3 * length`` int32. Returns how
    many tokens are left; they are the first in ``links``.
    """
    for place in range(length):
        links[place] = byte_ids[I64(text[start + place])]
    if length <= _SHORT:
        return _merge_by_scanning(length, pairs, mask, heap, links)
    return _merge_by_heap(length, pairs, mask, heap, links)


@inline
def _merge_by_scanning(count: int, pairs: Any, mask: int, merges: Any, ids: Any) -> int:
    for place in range(count - 1):
        merges[place] = find_merge(I64(ids[place]), I64(ids[place + 1]), pairs, mask)
    while count > 1:
        best, at = EMPTY, -1
        for place in range(count - 1):
            if merges[place] < best:
                best, at = merges[place], place
        if at < 0:
            break
        ids[at] = I64(best & _LOW)
        count -= 1
        for place in range(at + 1, count):
            ids[place] = ids[place + 1]
        for place in range(at + 1, count - 1):
            merges[place] = merges[place + 1]
        if at > 0:
            merges[at - 1] = find_merge(I64(ids[at - 1]), I64(ids[at]), pairs, mask)
        if at + 1 < count:
            merges[at] = find_merge(I64(ids[at]), I64(ids[at + 1]), pairs, mask)
    return count


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
