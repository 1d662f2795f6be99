"""Inlined: replacing a pair at its positions, and counting its neighbours."""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import inline
from lmlab.tokenizer.kernels.merge_state import (
    DEAD,
    FLOOR,
    JOINED_COUNT,
    JOINED_NUMBER,
    LEFT_SEEN,
    NONE,
    RIGHT_SEEN,
    WORD_SHIFT,
)
from lmlab.tokenizer.kernels.pair_table import add_pair, lower_pair

Array = Any


@inline
def replace_pair(
    state: Array,
    symbols: Array,
    nearby_word: Array,
    word_start: Array,
    weights: Array,
    pair_start: Array,
    pair_size: Array,
    positions: Array,
    token_size: Array,
    left_count: Array,
    left_number: Array,
    left_seen: Array,
    right_count: Array,
    right_number: Array,
    right_seen: Array,
    slot: int,
    left: int,
    right: int,
    merged: int,
) -> None:
    """Replace a pair by ``merged`` at all its positions, and count its neighbours.

    Two adjacent occurrences are not counted as neighbours of each other, but as JOINED. The pair
    keeps the positions where it was replaced.
    """
    size_left = token_size[left]
    size_right = token_size[right]
    start = pair_start[slot]
    kept = start
    after = NONE  # position after the previous occurrence
    next_token = NONE  # the token there, not counted yet
    weight = 0
    state[JOINED_COUNT] = 0
    state[JOINED_NUMBER] = 0
    for index in range(start, start + pair_size[slot]):
        position = positions[index]
        middle = position + size_left
        if symbols[position] != left or symbols[middle] != right:
            continue
        positions[kept] = position
        kept += 1
        last = middle + size_right - 1
        if size_left > 1:
            symbols[middle - 1] = DEAD
        if size_right > 1:
            symbols[middle] = DEAD
        symbols[position] = merged
        symbols[last] = merged
        if position == after:
            state[JOINED_COUNT] += weight
            state[JOINED_NUMBER] += 1
        else:
            if next_token >= 0:
                count_neighbour(
                    state, RIGHT_SEEN, right_count, right_number, right_seen, next_token, weight, 1
                )
            word = nearby_word[position >> WORD_SHIFT]
            while word_start[word + 1] <= position:
                word += 1
            weight = weights[word]
            before = symbols[position - 1]
            if before >= 0:
                count_neighbour(
                    state, LEFT_SEEN, left_count, left_number, left_seen, before, weight, 1
                )
        after = last + 1
        next_token = symbols[after]
    if next_token >= 0:
        count_neighbour(
            state, RIGHT_SEEN, right_count, right_number, right_seen, next_token, weight, 1
        )
    pair_size[slot] = kept - start


@inline
def count_neighbour(
    state: Array,
    length: int,
    counts: Array,
    numbers: Array,
    seen: Array,
    token: int,
    count: int,
    number: int,
) -> None:
    """Count a neighbour; ``state[length]`` is the number of distinct ones."""
    if numbers[token] == 0:
        seen[state[length]] = token
        state[length] += 1
    counts[token] += count
    numbers[token] += number


@inline
def reset_neighbours(
    state: Array,
    left_count: Array,
    left_number: Array,
    left_seen: Array,
    right_count: Array,
    right_number: Array,
    right_seen: Array,
) -> None:
    """Reset the counters of neighbours to zero."""
    for index in range(state[LEFT_SEEN]):
        left_count[left_seen[index]] = 0
        left_number[left_seen[index]] = 0
    for index in range(state[RIGHT_SEEN]):
        right_count[right_seen[index]] = 0
        right_number[right_seen[index]] = 0
    state[LEFT_SEEN] = 0
    state[RIGHT_SEEN] = 0


@inline
def lower_neighbour_pairs(
    state: Array,
    table: Array,
    pair_left: Array,
    pair_right: Array,
    pair_count: Array,
    left_count: Array,
    left_seen: Array,
    right_count: Array,
    right_seen: Array,
    left: int,
    right: int,
) -> None:
    """Subtract the counts of :func:`replace_pair` from the pairs that it broke up."""
    for index in range(state[LEFT_SEEN]):
        token = left_seen[index]
        lower_pair(state, table, pair_left, pair_right, pair_count, token, left, left_count[token])
    for index in range(state[RIGHT_SEEN]):
        token = right_seen[index]
        lower_pair(
            state, table, pair_left, pair_right, pair_count, right, token, right_count[token]
        )
    if state[JOINED_NUMBER] > 0:
        lower_pair(
            state, table, pair_left, pair_right, pair_count, right, left, state[JOINED_COUNT]
        )


@inline
def add_neighbour_pairs(
    state: Array,
    symbols: Array,
    table: Array,
    pair_left: Array,
    pair_right: Array,
    pair_count: Array,
    pair_start: Array,
    pair_size: Array,
    heap: Array,
    positions: Array,
    token_size: Array,
    left_count: Array,
    left_number: Array,
    left_seen: Array,
    right_count: Array,
    right_number: Array,
    right_seen: Array,
    slot: int,
    merged: int,
) -> None:
    """Add the pairs of ``merged`` and its neighbours that are frequent enough.

    The numbers of neighbours become the indices of the next position of their pairs.
    """
    if state[JOINED_NUMBER] > 0:
        count_neighbour(
            state, RIGHT_SEEN, right_count, right_number, right_seen, merged,
            state[JOINED_COUNT], state[JOINED_NUMBER],
        )  # fmt: skip
    floor = state[FLOOR]
    num_added = 0
    for index in range(state[LEFT_SEEN]):
        token = left_seen[index]
        if left_count[token] >= floor:
            left_number[token] = add_pair(
                state, table, pair_left, pair_right, pair_count, pair_start, pair_size, heap,
                token, merged, left_count[token], left_number[token],
            )  # fmt: skip
            num_added += 1
        else:
            left_number[token] = NONE
    for index in range(state[RIGHT_SEEN]):
        token = right_seen[index]
        if right_count[token] >= floor:
            right_number[token] = add_pair(
                state, table, pair_left, pair_right, pair_count, pair_start, pair_size, heap,
                merged, token, right_count[token], right_number[token],
            )  # fmt: skip
            num_added += 1
        else:
            right_number[token] = NONE
    if num_added == 0:
        return
    size = token_size[merged]
    for index in range(pair_start[slot], pair_start[slot] + pair_size[slot]):
        position = positions[index]
        before = symbols[position - 1]
        if before >= 0 and before != merged:
            here = left_number[before]
            if here >= 0:
                positions[here] = position - token_size[before]
                left_number[before] = here + 1
        next_token = symbols[position + size]
        if next_token >= 0:
            here = right_number[next_token]
            if here >= 0:
                positions[here] = position
                right_number[next_token] = here + 1
