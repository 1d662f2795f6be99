"""Constants shared by the merge kernels and their caller: return codes, ``state``, markers."""

from __future__ import annotations

DONE, EXHAUSTED, GROW_PAIRS, GROW_POSITIONS = range(4)

# Indices into ``state``, an array of int64.
(
    FLOOR,  # minimum count of pairs that are kept
    MERGES,  # number of merges so far
    TOKENS,  # number of tokens so far, including the 256 bytes
    SLOTS,  # number of pairs so far
    POSITIONS,  # used entries of ``positions``
    HEAP,  # entries in the heap
    LEVEL,  # entries in the heap of equally frequent pairs
    LEVEL_COUNT,  # their count
    SHIFT,  # bits of the slot in a heap entry
    LEFT_SEEN,  # number of distinct left neighbours
    RIGHT_SEEN,  # number of distinct right neighbours
    JOINED_COUNT,  # adjacent occurrences of the pair, weighted by word counts
    JOINED_NUMBER,  # the same, unweighted
    TABLE_SIZE,  # sizes of the arrays
    PAIRS_SIZE,
    POSITIONS_SIZE,
    NEEDED,  # free positions that the next merge may need
    DATA_SIZE,
    WORDS,
    STATE_SIZE,
) = range(20)

BYTES = 256
KEY_BYTES = 8  # leading bytes of a token, compared at once
WORD_SHIFT = 4
SEPARATOR, DEAD, NONE = -1, -2, -1
