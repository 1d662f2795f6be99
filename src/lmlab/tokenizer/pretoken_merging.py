"""Applying merges to the bytes of one pre-token."""

from __future__ import annotations

import heapq
import itertools

# Below this length scanning all pairs again is quicker than keeping a heap.
_SHORT = 48


def merge_pretoken(ids: list[int], merges: dict[tuple[int, int], tuple[int, int]]) -> list[int]:
    """Merge neighbours, lowest rank first and leftmost among equals, until none can be merged.

    Sennrich et al. 2016, section 3.2.

    Args:
        ids: tokens, at first one a byte; used up.
        merges: rank and resulting token of each pair.
    """
    if len(ids) < _SHORT:
        return _merge_by_scanning(ids, merges)
    return _merge_by_heap(ids, merges)


def _merge_by_scanning(ids: list[int], merges: dict[tuple[int, int], tuple[int, int]]) -> list[int]:
    while len(ids) > 1:
        best = min(
            (
                (merges[pair][0], place)
                for place, pair in enumerate(itertools.pairwise(ids))
                if pair in merges
            ),
            default=None,
        )
        if best is None:
            break
        place = best[1]
        ids[place : place + 2] = [merges[ids[place], ids[place + 1]][1]]
    return ids


def _merge_by_heap(ids: list[int], merges: dict[tuple[int, int], tuple[int, int]]) -> list[int]:
    """O(n log n): a heap of candidate pairs over a linked list of tokens."""
    count = len(ids)
    after = [*range(1, count), -1]
    before = list(range(-1, count - 1))
    alive = [True] * count
    queue = [
        (merges[pair][0], place, pair)
        for place, pair in enumerate(itertools.pairwise(ids))
        if pair in merges
    ]
    heapq.heapify(queue)
    while queue:
        _, place, pair = heapq.heappop(queue)
        right = after[place]
        if not alive[place] or right < 0 or (ids[place], ids[right]) != pair:
            continue  # one side was merged elsewhere meanwhile
        ids[place] = merges[pair][1]
        alive[right] = False
        after[place] = after[right]
        if after[place] >= 0:
            before[after[place]] = place
        for left in (before[place], place):
            if left >= 0 and after[left] >= 0:
                fresh = (ids[left], ids[after[left]])
                if fresh in merges:
                    heapq.heappush(queue, (merges[fresh][0], left, fresh))
    return [token for token, lives in zip(ids, alive, strict=True) if lives]
