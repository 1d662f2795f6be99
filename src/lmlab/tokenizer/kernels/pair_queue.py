"""Inlined: the order in which pairs are merged."""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import I64, inline
from lmlab.tokenizer.kernels.merge_state import (
    FLOOR,
    HEAP,
    KEY_BYTES,
    LEVEL,
    LEVEL_COUNT,
    NONE,
    SHIFT,
)

Array = Any


@inline
def push_heap(state: Array, heap: Array, entry: int) -> None:
    """Push ``count << SHIFT | slot``; the greatest is on top."""
    here = state[HEAP]
    state[HEAP] += 1
    while here > 0:
        above = (here - 1) >> 1
        if heap[above] >= entry:
            break
        heap[here] = heap[above]
        here = above
    heap[here] = entry


@inline
def pop_heap(state: Array, heap: Array) -> int:
    """Pop the greatest entry."""
    top = heap[0]
    state[HEAP] -= 1
    size = state[HEAP]
    entry = heap[size]
    here = 0
    while True:
        below = 2 * here + 1
        if below >= size:
            break
        if below + 1 < size and heap[below + 1] > heap[below]:
            below += 1
        if heap[below] <= entry:
            break
        heap[here] = heap[below]
        here = below
    heap[here] = entry
    return top


@inline
def compare_tokens(
    data: Array, token_start: Array, token_size: Array, token_key: Array, one: int, two: int
) -> int:
    """Compare two tokens' byte strings: negative, zero or positive."""
    if one == two:
        return 0
    if token_key[one] != token_key[two]:
        return 1 if token_key[one] > token_key[two] else -1
    size_one = token_size[one]
    size_two = token_size[two]
    common = min(size_one, size_two)
    for offset in range(KEY_BYTES, common):
        difference = I64(data[token_start[one] + offset]) - I64(data[token_start[two] + offset])
        if difference != 0:
            return difference
    return size_one - size_two


@inline
def is_greater(
    data: Array,
    token_start: Array,
    token_size: Array,
    token_key: Array,
    pair_left: Array,
    pair_right: Array,
    one: int,
    two: int,
) -> bool:
    """Whether pair ``one`` comes after pair ``two`` in lexicographic order."""
    order = compare_tokens(data, token_start, token_size, token_key, pair_left[one], pair_left[two])
    if order == 0:
        order = compare_tokens(
            data, token_start, token_size, token_key, pair_right[one], pair_right[two]
        )
    return order > 0


@inline
def push_level(
    state: Array,
    level: Array,
    data: Array,
    token_start: Array,
    token_size: Array,
    token_key: Array,
    pair_left: Array,
    pair_right: Array,
    slot: int,
) -> None:
    """Push a pair to the heap of equally frequent ones, lexicographically greatest on top."""
    here = state[LEVEL]
    state[LEVEL] += 1
    while here > 0:
        above = (here - 1) >> 1
        if not is_greater(
            data, token_start, token_size, token_key, pair_left, pair_right, slot, level[above]
        ):
            break
        level[here] = level[above]
        here = above
    level[here] = slot


@inline
def pop_level(
    state: Array,
    level: Array,
    data: Array,
    token_start: Array,
    token_size: Array,
    token_key: Array,
    pair_left: Array,
    pair_right: Array,
) -> int:
    """Pop the lexicographically greatest of the equally frequent pairs."""
    top = level[0]
    state[LEVEL] -= 1
    size = state[LEVEL]
    slot = level[size]
    here = 0
    while True:
        below = 2 * here + 1
        if below >= size:
            break
        if below + 1 < size and is_greater(
            data, token_start, token_size, token_key, pair_left, pair_right,
            level[below + 1], level[below],
        ):  # fmt: skip
            below += 1
        if not is_greater(
            data, token_start, token_size, token_key, pair_left, pair_right, level[below], slot
        ):
            break
        level[here] = level[below]
        here = below
    level[here] = slot
    return top


@inline
def best_pair(
    state: Array,
    heap: Array,
    level: Array,
    data: Array,
    token_start: Array,
    token_size: Array,
    token_key: Array,
    pair_left: Array,
    pair_right: Array,
    pair_count: Array,
) -> int:
    """Pop the next pair to merge; NONE if no pair is left.

    Entries of the heap may be outdated: one whose count fell is pushed again with its current
    count.
    """
    shift = state[SHIFT]
    slot_mask = (1 << shift) - 1
    while True:
        if state[LEVEL] == 0:
            if state[HEAP] == 0:
                return NONE
            state[LEVEL_COUNT] = heap[0] >> shift
        count = state[LEVEL_COUNT]
        while state[HEAP] > 0 and (heap[0] >> shift) == count:
            slot = pop_heap(state, heap) & slot_mask
            if pair_count[slot] == count:
                push_level(
                    state, level, data, token_start, token_size, token_key, pair_left, pair_right,
                    slot,
                )  # fmt: skip
            elif pair_count[slot] >= state[FLOOR]:
                push_heap(state, heap, (pair_count[slot] << shift) | slot)
        if state[LEVEL] == 0:
            continue
        slot = pop_level(
            state, level, data, token_start, token_size, token_key, pair_left, pair_right
        )
        if pair_count[slot] == count:
            return slot
        if pair_count[slot] >= state[FLOOR]:
            push_heap(state, heap, (pair_count[slot] << shift) | slot)
