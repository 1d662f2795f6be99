"""Learning merges on flat arrays; :mod:`lmlab.tokenizer.reference_training` tells the same in Python.

``data`` holds the words' bytes with a zero before each and at the end; a place is an index into it.
``symbols`` has the id of a token at the first and the last byte of the token, DEAD between them,
and SEPARATOR at the zeros, so that the neighbours of a token are one step away. ``word_near`` has
the first word that reaches into each run of ``1 << WORD_SHIFT`` places.

Pairs are numbered by ``slot``. A pair is kept only if its count is at least ``state[FLOOR]`` when
it arises: no other can be among the merges asked for (see :mod:`lmlab.tokenizer.merge_learner`). The
places of a pair may be out of date, which ``symbols`` tells; its count never is.

Counts only fall, because no merge spells a token that there is already. Say the bytes X were merged
from (A, B) once and are now, elsewhere, from (C, D). No token has crossed the borders of the second
place so far, so that only X itself told how it was merged, as at the first place; it was (A, B)
when that pair was merged, at all its places. (Of overlapping ones, as in aaa, the second is crossed
by the first.) Hence a pair is entered once, when its younger token arises.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import kernel
from lmlab.tokenizer.kernels.merge_state import (
    BYTES,
    DATA_SIZE,
    DONE,
    EXHAUSTED,
    FLOOR,
    GROW_PAIRS,
    GROW_PLACES,
    MERGES,
    NEEDED,
    NONE,
    PAIRS_SIZE,
    PLACES,
    PLACES_SIZE,
    SEPARATOR,
    SHIFT,
    SLOTS,
    TOKENS,
    WORD_SHIFT,
    WORDS,
)
from lmlab.tokenizer.kernels.neighbours import (
    enter_neighbours,
    forget_neighbours,
    lower_neighbours,
    replace,
)
from lmlab.tokenizer.kernels.pair_queue import best_pair, push_level
from lmlab.tokenizer.kernels.pair_table import add_pair, describe, find_pair

Array = Any


@kernel("i64* i32* i32* i32*")
def fill_table(state: Array, table: Array, pair_left: Array, pair_right: Array) -> int:
    """Enter all pairs into an empty table."""
    for slot in range(state[SLOTS]):
        place = find_pair(state, table, pair_left, pair_right, pair_left[slot], pair_right[slot])
        table[place] = slot
    return DONE


@kernel("i64* i64* i64*")
def byte_tokens(token_start: Array, token_size: Array, token_key: Array) -> int:
    """Enter the 256 bytes. They need no ``token_start``: no comparison looks beyond their key."""
    for byte in range(BYTES):
        token_start[byte] = 0
        token_size[byte] = 1
        token_key[byte] = (byte - 128) << 56
    return DONE


@kernel("i64* u8* i64* i64* i32* i32* i64* i64*")
def lay_out(
    state: Array,
    data: Array,
    word_start: Array,
    weights: Array,
    symbols: Array,
    word_near: Array,
    byte_count: Array,
    byte_number: Array,
) -> int:
    """Write ``symbols`` and ``word_near``; count the pairs of bytes, weighted and plain."""
    filled = 0
    for word in range(state[WORDS]):
        first = word_start[word]
        end = word_start[word + 1] - 1
        symbols[first - 1] = SEPARATOR
        weight = weights[word]
        symbols[first] = data[first]
        while filled <= end >> WORD_SHIFT:
            word_near[filled] = word
            filled += 1
        for place in range(first + 1, end):
            symbols[place] = data[place]
            pair = data[place - 1] * 256 + data[place]
            byte_count[pair] += weight
            byte_number[pair] += 1
    symbols[state[DATA_SIZE] - 1] = SEPARATOR
    largest = 1
    for pair in range(BYTES * BYTES):
        largest = max(largest, byte_count[pair])
    bits = 0
    while largest >> bits:
        bits += 1
    state[SHIFT] = 63 - bits
    return DONE


@kernel("i64* u8* i32* i64* i64* i32* i32* i32* i64* i64* i64* i64* i32*")
def first_pairs(
    state: Array,
    data: Array,
    symbols: Array,
    byte_count: Array,
    byte_number: Array,
    table: Array,
    pair_left: Array,
    pair_right: Array,
    pair_count: Array,
    pair_start: Array,
    pair_size: Array,
    heap: Array,
    places: Array,
) -> int:
    """Enter the pairs of bytes that are frequent enough, and their places.

    ``byte_number`` becomes the index of the next place of each pair.
    """
    for pair in range(BYTES * BYTES):
        if byte_number[pair] > 0 and byte_count[pair] >= state[FLOOR]:
            byte_number[pair] = add_pair(
                state, table, pair_left, pair_right, pair_count, pair_start, pair_size,
                heap, pair >> 8, pair & 255, byte_count[pair], byte_number[pair],
            )  # fmt: skip
        else:
            byte_number[pair] = NONE
    for place in range(1, state[DATA_SIZE] - 2):
        if symbols[place] >= 0 and symbols[place + 1] >= 0:
            pair = data[place] * 256 + data[place + 1]
            here = byte_number[pair]
            if here >= 0:
                places[here] = place
                byte_number[pair] = here + 1
    return DONE


@kernel("i64* i32* i32* i32* i64* i64* i64* i32* i64*")
def compact(
    state: Array,
    symbols: Array,
    pair_left: Array,
    pair_right: Array,
    pair_count: Array,
    pair_start: Array,
    pair_size: Array,
    places: Array,
    token_size: Array,
) -> int:
    """Move the places of all pairs together, without those that are out of date or of no use.

    Slots are in the order of their places.
    """
    here = 0
    for slot in range(state[SLOTS]):
        start = pair_start[slot]
        end = start + pair_size[slot]
        pair_start[slot] = here
        if pair_count[slot] >= state[FLOOR]:
            left = pair_left[slot]
            right = pair_right[slot]
            size = token_size[left]
            for index in range(start, end):
                place = places[index]
                if symbols[place] == left and symbols[place + size] == right:
                    places[here] = place
                    here += 1
        pair_size[slot] = here - pair_start[slot]
    state[PLACES] = here
    return DONE


@kernel(
    "i64* i64 u8* i32* i32* i64* i64* i32* i32* i32* i64* i64* i64* i64* i32* i32* i64* "
    "i64* i64* i64* i64* i32* i64* i64* i32* i32* i32*"
)
def learn(
    state: Array,
    until: int,
    data: Array,
    symbols: Array,
    word_near: Array,
    word_start: Array,
    weights: Array,
    table: Array,
    pair_left: Array,
    pair_right: Array,
    pair_count: Array,
    pair_start: Array,
    pair_size: Array,
    heap: Array,
    level: Array,
    places: Array,
    token_start: Array,
    token_size: Array,
    token_key: Array,
    left_count: Array,
    left_number: Array,
    left_seen: Array,
    right_count: Array,
    right_number: Array,
    right_seen: Array,
    merge_left: Array,
    merge_right: Array,
) -> int:
    """Merge until ``until`` merges are made: write their two tokens' ids."""
    while state[MERGES] < until:
        slot = best_pair(
            state, heap, level, data, token_start, token_size, token_key, pair_left, pair_right,
            pair_count,
        )  # fmt: skip
        if slot == NONE:
            return EXHAUSTED
        # A merge makes no more pairs than this.
        total = state[SLOTS] + 2 * min(pair_count[slot] // state[FLOOR], state[TOKENS]) + 2
        lacking = DONE
        if total > state[PAIRS_SIZE]:
            lacking = GROW_PAIRS
        state[NEEDED] = 2 * pair_size[slot]
        if state[PLACES] + state[NEEDED] > state[PLACES_SIZE]:
            lacking = GROW_PLACES
        if lacking != DONE:
            push_level(
                state, level, data, token_start, token_size, token_key, pair_left, pair_right,
                slot,
            )  # fmt: skip
            return lacking
        left = pair_left[slot]
        right = pair_right[slot]
        merged = state[TOKENS]
        state[TOKENS] += 1
        replace(
            state, symbols, word_near, word_start, weights, pair_start, pair_size, places,
            token_size, left_count, left_number, left_seen, right_count, right_number, right_seen,
            slot, left, right, merged,
        )  # fmt: skip
        describe(
            data, token_start, token_size, token_key, merged, places[pair_start[slot]],
            token_size[left] + token_size[right],
        )  # fmt: skip
        lower_neighbours(
            state, table, pair_left, pair_right, pair_count, left_count, left_seen, right_count,
            right_seen, left, right,
        )  # fmt: skip
        pair_count[slot] = 0
        enter_neighbours(
            state, symbols, table, pair_left, pair_right, pair_count, pair_start, pair_size,
            heap, places, token_size, left_count, left_number, left_seen,
            right_count, right_number, right_seen, slot, merged,
        )  # fmt: skip
        forget_neighbours(
            state, left_count, left_number, left_seen, right_count, right_number, right_seen
        )
        merge_left[state[MERGES]] = left
        merge_right[state[MERGES]] = right
        state[MERGES] += 1
    return DONE
