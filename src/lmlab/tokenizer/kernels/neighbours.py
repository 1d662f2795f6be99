"""Inlined: replacing a pair where it stands, and counting what stands beside it."""

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
def replace(
    state: Array,
    symbols: Array,
    word_near: Array,
    word_start: Array,
    weights: Array,
    pair_start: Array,
    pair_size: Array,
    places: Array,
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
    """Replace a pair by ``merged`` at all its places, and count its neighbours.

    Of two occurrences side by side, the first is not counted as the second's neighbour, nor the
    other way round, but as JOINED. The pair keeps the places at which it stood.
    """
    size_left = token_size[left]
    size_right = token_size[right]
    start = pair_start[slot]
    kept = start
    after = NONE  # of the occurrence before
    follower = NONE  # the token there, still to be counted
    weight = 0
    state[JOINED_COUNT] = 0
    state[JOINED_NUMBER] = 0
    for index in range(start, start + pair_size[slot]):
        place = places[index]
        middle = place + size_left
        if symbols[place] != left or symbols[middle] != right:
            continue
        places[kept] = place
        kept += 1
        last = middle + size_right - 1
        if size_left > 1:
            symbols[middle - 1] = DEAD
        if size_right > 1:
            symbols[middle] = DEAD
        symbols[place] = merged
        symbols[last] = merged
        if place == after:
            state[JOINED_COUNT] += weight
            state[JOINED_NUMBER] += 1
        else:
            if follower >= 0:
                see(state, RIGHT_SEEN, right_count, right_number, right_seen, follower, weight, 1)
            word = word_near[place >> WORD_SHIFT]
            while word_start[word + 1] <= place:
                word += 1
            weight = weights[word]
            before = symbols[place - 1]
            if before >= 0:
                see(state, LEFT_SEEN, left_count, left_number, left_seen, before, weight, 1)
        after = last + 1
        follower = symbols[after]
    if follower >= 0:
        see(state, RIGHT_SEEN, right_count, right_number, right_seen, follower, weight, 1)
    pair_size[slot] = kept - start


@inline
def see(
    state: Array,
    length: int,
    counts: Array,
    numbers: Array,
    seen: Array,
    token: int,
    count: int,
    number: int,
) -> None:
    """Count a neighbour; ``state[length]`` is the number of different ones."""
    if numbers[token] == 0:
        seen[state[length]] = token
        state[length] += 1
    counts[token] += count
    numbers[token] += number


@inline
def forget_neighbours(
    state: Array,
    left_count: Array,
    left_number: Array,
    left_seen: Array,
    right_count: Array,
    right_number: Array,
    right_seen: Array,
) -> None:
    """Set the counters of neighbours back to zero."""
    for index in range(state[LEFT_SEEN]):
        left_count[left_seen[index]] = 0
        left_number[left_seen[index]] = 0
    for index in range(state[RIGHT_SEEN]):
        right_count[right_seen[index]] = 0
        right_number[right_seen[index]] = 0
    state[LEFT_SEEN] = 0
    state[RIGHT_SEEN] = 0


@inline
def lower_neighbours(
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
    """Take what :func:`replace` counted from the pairs that stood there before."""
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
def enter_neighbours(
    state: Array,
    symbols: Array,
    table: Array,
    pair_left: Array,
    pair_right: Array,
    pair_count: Array,
    pair_start: Array,
    pair_size: Array,
    heap: Array,
    places: Array,
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
    """Enter the pairs of ``merged`` and its neighbours that are frequent enough.

    The numbers of neighbours become the indices of the next place of their pairs.
    """
    if state[JOINED_NUMBER] > 0:
        see(
            state, RIGHT_SEEN, right_count, right_number, right_seen, merged,
            state[JOINED_COUNT], state[JOINED_NUMBER],
        )  # fmt: skip
    floor = state[FLOOR]
    entered = 0
    for index in range(state[LEFT_SEEN]):
        token = left_seen[index]
        if left_count[token] >= floor:
            left_number[token] = add_pair(
                state, table, pair_left, pair_right, pair_count, pair_start, pair_size, heap,
                token, merged, left_count[token], left_number[token],
            )  # fmt: skip
            entered += 1
        else:
            left_number[token] = NONE
    for index in range(state[RIGHT_SEEN]):
        token = right_seen[index]
        if right_count[token] >= floor:
            right_number[token] = add_pair(
                state, table, pair_left, pair_right, pair_count, pair_start, pair_size, heap,
                merged, token, right_count[token], right_number[token],
            )  # fmt: skip
            entered += 1
        else:
            right_number[token] = NONE
    if entered == 0:
        return
    size = token_size[merged]
    for index in range(pair_start[slot], pair_start[slot] + pair_size[slot]):
        place = places[index]
        before = symbols[place - 1]
        if before >= 0 and before != merged:
            here = left_number[before]
            if here >= 0:
                places[here] = place - token_size[before]
                left_number[before] = here + 1
        follower = symbols[place + size]
        if follower >= 0:
            here = right_number[follower]
            if here >= 0:
                places[here] = place
                right_number[follower] = here + 1
