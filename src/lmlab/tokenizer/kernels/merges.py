"""Learning merges on flat arrays; :mod:`lmlab.tokenizer.reference_training` is the same in Python.

``data`` holds the bytes of the words with a zero before each and at the end; a position is an index
into it. ``symbols`` has the id of a token at the token's first and last byte, DEAD between them,
and SEPARATOR at the zeros, so the neighbours of a token are one step away. ``nearby_word`` has the
first word that reaches into each run of ``1 << WORD_SHIFT`` positions.

Pairs are numbered by ``slot``. A pair is kept only if its count is at least ``state[FLOOR]`` when
it first occurs: no other can be among the requested merges (see
:mod:`lmlab.tokenizer.merge_learner`). The positions of a pair may be outdated, which ``symbols``
shows; its count never is.

Counts only fall, because no merge spells an existing token. Suppose the bytes X were once merged
from (A, B), and are merged elsewhere from (C, D). No token has crossed the borders of the second
occurrence so far, so X alone determined how it was merged, as at the first occurrence: it was
(A, B) when that pair was merged, at all its positions. (Of overlapping occurrences, as in aaa, the
second is crossed by the first.) Hence a pair is added once, when its younger token is created.
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
    GROW_POSITIONS,
    MERGES,
    NEEDED,
    NONE,
    PAIRS_SIZE,
    POSITIONS,
    POSITIONS_SIZE,
    SEPARATOR,
    SHIFT,
    SLOTS,
    TOKENS,
    WORD_SHIFT,
    WORDS,
)
from lmlab.tokenizer.kernels.neighbours import (
    add_neighbour_pairs,
    lower_neighbour_pairs,
    replace_pair,
    reset_neighbours,
)
from lmlab.tokenizer.kernels.pair_queue import best_pair, push_level
from lmlab.tokenizer.kernels.pair_table import add_pair, find_pair, set_spelling

Array = Any


@kernel("i64* i32* i32* i32*")
def fill_table(state: Array, table: Array, pair_left: Array, pair_right: Array) -> int:
    """Insert all pairs into an empty table."""
    for slot in range(state[SLOTS]):
        index = find_pair(state, table, pair_left, pair_right, pair_left[slot], pair_right[slot])
        table[index] = slot
    return DONE


@kernel("i64* i64* i64*")
def byte_tokens(token_start: Array, token_size: Array, token_key: Array) -> int:
    """Define the 256 bytes. They need no ``token_start``: comparisons end within their key."""
    for byte in range(BYTES):
        token_start[byte] = 0
        token_size[byte] = 1
        token_key[byte] = (byte - 128) << 56
    return DONE


@kernel("i64* u8* i64* i64* i32* i32* i64* i64*")
def write_symbols(
    state: Array,
    data: Array,
    word_start: Array,
    weights: Array,
    symbols: Array,
    nearby_word: Array,
    byte_count: Array,
    byte_number: Array,
) -> int:
    """Write ``symbols`` and ``nearby_word``; count the pairs of bytes, weighted and unweighted."""
    filled = 0
    for word in range(state[WORDS]):
        first = word_start[word]
        end = word_start[word + 1] - 1
        symbols[first - 1] = SEPARATOR
        weight = weights[word]
        symbols[first] = data[first]
        while filled <= end >> WORD_SHIFT:
            nearby_word[filled] = word
            filled += 1
        for position in range(first + 1, end):
            symbols[position] = data[position]
            pair = data[position - 1] * 256 + data[position]
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
    positions: Array,
) -> int:
    """Add the pairs of bytes that are frequent enough, and their positions.

    ``byte_number`` becomes the index of each pair's next position.
    """
    for pair in range(BYTES * BYTES):
        if byte_number[pair] > 0 and byte_count[pair] >= state[FLOOR]:
            byte_number[pair] = add_pair(
                state, table, pair_left, pair_right, pair_count, pair_start, pair_size,
                heap, pair >> 8, pair & 255, byte_count[pair], byte_number[pair],
            )  # fmt: skip
        else:
            byte_number[pair] = NONE
    for position in range(1, state[DATA_SIZE] - 2):
        if symbols[position] >= 0 and symbols[position + 1] >= 0:
            pair = data[position] * 256 + data[position + 1]
            here = byte_number[pair]
            if here >= 0:
                positions[here] = position
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
    positions: Array,
    token_size: Array,
) -> int:
    """Move the positions of all pairs together, without outdated and useless ones.

    Slots are in the order of their positions.
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
                position = positions[index]
                if symbols[position] == left and symbols[position + size] == right:
                    positions[here] = position
                    here += 1
        pair_size[slot] = here - pair_start[slot]
    state[POSITIONS] = here
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
    nearby_word: Array,
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
    positions: Array,
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
    """Merge until there are ``until`` merges; write the ids of their two tokens."""
    while state[MERGES] < until:
        slot = best_pair(
            state, heap, level, data, token_start, token_size, token_key, pair_left, pair_right,
            pair_count,
        )  # fmt: skip
        if slot == NONE:
            return EXHAUSTED
        # Upper bound of the pairs after this merge.
        total = state[SLOTS] + 2 * min(pair_count[slot] // state[FLOOR], state[TOKENS]) + 2
        needed = DONE
        if total > state[PAIRS_SIZE]:
            needed = GROW_PAIRS
        state[NEEDED] = 2 * pair_size[slot]
        if state[POSITIONS] + state[NEEDED] > state[POSITIONS_SIZE]:
            needed = GROW_POSITIONS
        if needed != DONE:
            push_level(
                state, level, data, token_start, token_size, token_key, pair_left, pair_right,
                slot,
            )  # fmt: skip
            return needed
        left = pair_left[slot]
        right = pair_right[slot]
        merged = state[TOKENS]
        state[TOKENS] += 1
        replace_pair(
            state, symbols, nearby_word, word_start, weights, pair_start, pair_size, positions,
            token_size, left_count, left_number, left_seen, right_count, right_number, right_seen,
            slot, left, right, merged,
        )  # fmt: skip
        set_spelling(
            data, token_start, token_size, token_key, merged, positions[pair_start[slot]],
            token_size[left] + token_size[right],
        )  # fmt: skip
        lower_neighbour_pairs(
            state, table, pair_left, pair_right, pair_count, left_count, left_seen, right_count,
            right_seen, left, right,
        )  # fmt: skip
        pair_count[slot] = 0
        add_neighbour_pairs(
            state, symbols, table, pair_left, pair_right, pair_count, pair_start, pair_size,
            heap, positions, token_size, left_count, left_number, left_seen,
            right_count, right_number, right_seen, slot, merged,
        )  # fmt: skip
        reset_neighbours(
            state, left_count, left_number, left_seen, right_count, right_number, right_seen
        )
        merge_left[state[MERGES]] = left
        merge_right[state[MERGES]] = right
        state[MERGES] += 1
    return DONE
