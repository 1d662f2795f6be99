"""Applying merges to the bytes of one pre-token."""

from __future__ import annotations

import heapq
import itertools

# Below this length, rescanning all pairs is faster than maintaining a heap.
_SHORT = 48


def merge_pretoken(ids: list[int], merges: dict[tuple[int, int], tuple[int, int]]) -> list[int]:
    """Merge neighbours, lowest rank first and leftmost among equals, until none can be merged.

    Sennrich et al. 2016, section 3.2.

    Args:
        ids: tokens, initially one per byte; modified.
        merges: rank and resulting token of each pair.
    """
    if len(ids) < _SHORT:
        return _merge_by_scanning(ids, merges)
    return _merge_by_heap(ids, merges)


def _merge_by_scanning(ids: list[int], merges: dict[tuple[int, int], tuple[int, int]]) -> list[int]:
    while len(ids) > 1:
        best = min(
            (
                (merges[pair][0], position)
                for position, pair in enumerate(itertools.pairwise(ids))
                if pair in merges
            ),
            default=None,
        )
        if best is None:
            break
        position = best[1]
        ids[position : position + 2] = [merges[ids[position], ids[position + 1]][1]]
    return ids


def _merge_by_heap(ids: list[int], merges: dict[tuple[int, int], tuple[int, int]]) -> list[int]:
    """Merge in O(n log n): a heap of candidate pairs over a linked list of tokens."""
    count = len(ids)
    after = [*range(1, count), -1]
    before = list(range(-1, count - 1))
    is_live = [True] * count
    queue = [
        (merges[pair][0], position, pair)
        for position, pair in enumerate(itertools.pairwise(ids))
        if pair in merges
    ]
    heapq.heapify(queue)
    while queue:
        _, position, pair = heapq.heappop(queue)
        right = after[position]
        if not is_live[position] or right < 0 or (ids[position], ids[right]) != pair:
            continue  # outdated: one side has been merged since
        ids[position] = merges[pair][1]
        is_live[right] = False
        after[position] = after[right]
        if after[position] >= 0:
            before[after[position]] = position
        for left in (before[position], position):
            if left >= 0 and after[left] >= 0:
                new_pair = (ids[left], ids[after[left]])
                if new_pair in merges:
                    heapq.heappush(queue, (merges[new_pair][0], left, new_pair))
    return [token for token, live in zip(ids, is_live, strict=True) if live]
