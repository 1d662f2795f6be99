"""Inlined: adding and finding pairs by their two tokens."""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import I64, inline
from lmlab.tokenizer.kernels.merge_state import (
    KEY_BYTES,
    NONE,
    POSITIONS,
    SHIFT,
    SLOTS,
    TABLE_SIZE,
)
from lmlab.tokenizer.kernels.pair_queue import push_heap

Array = Any


@inline
def find_pair(
    state: Array, table: Array, pair_left: Array, pair_right: Array, left: int, right: int
) -> int:
    """The index in ``table`` of a pair, or the free one where it belongs."""
    mask = state[TABLE_SIZE] - 1
    index = (left * 0x9E3779B1 + right * 0x85EBCA77) & 0x7FFFFFFFFFFFFFF
    index = (index ^ (index >> 17)) & mask
    while True:
        slot = table[index]
        if slot == NONE or (pair_left[slot] == left and pair_right[slot] == right):
            return index
        index = (index + 1) & mask


@inline
def add_pair(
    state: Array,
    table: Array,
    pair_left: Array,
    pair_right: Array,
    pair_count: Array,
    pair_start: Array,
    pair_size: Array,
    heap: Array,
    left: int,
    right: int,
    count: int,
    number: int,
) -> int:
    """Add a pair and reserve ``number`` positions; return the index of the first."""
    slot = state[SLOTS]
    state[SLOTS] += 1
    table[find_pair(state, table, pair_left, pair_right, left, right)] = slot
    pair_left[slot] = left
    pair_right[slot] = right
    pair_count[slot] = count
    push_heap(state, heap, (count << state[SHIFT]) | slot)
    start = state[POSITIONS]
    state[POSITIONS] += number
    pair_start[slot] = start
    pair_size[slot] = number
    return start


@inline
def lower_pair(
    state: Array,
    table: Array,
    pair_left: Array,
    pair_right: Array,
    pair_count: Array,
    left: int,
    right: int,
    weight: int,
) -> None:
    """Lower the count of a pair if it is kept."""
    slot = table[find_pair(state, table, pair_left, pair_right, left, right)]
    if slot != NONE:
        pair_count[slot] -= weight


@inline
def set_spelling(
    data: Array,
    token_start: Array,
    token_size: Array,
    token_key: Array,
    token: int,
    first: int,
    size: int,
) -> None:
    """Record that a token is spelled by ``size`` bytes from position ``first``."""
    token_start[token] = first
    token_size[token] = size
    # The first eight bytes as a number, offset so that signed comparison keeps the order of bytes.
    key = I64(data[first]) - 128
    for offset in range(1, KEY_BYTES):
        key = key << 8
        if offset < size:
            key = key | I64(data[first + offset])
    token_key[token] = key
