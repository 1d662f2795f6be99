"""What the merge kernels and their caller agree on: return codes, ``state``, and marks."""

from __future__ import annotations

DONE, EXHAUSTED, GROW_PAIRS, GROW_PLACES = range(4)

# ``state`` is an array of int64 with one number at each of these.
(
    FLOOR,  # least count of a pair that is kept
    MERGES,  # made so far
    TOKENS,  # so far, the 256 bytes included
    SLOTS,  # pairs entered
    PLACES,  # of ``places`` taken
    HEAP,  # entries in the heap
    LEVEL,  # entries in the heap of pairs of one count
    LEVEL_COUNT,  # that count
    SHIFT,  # bits of a slot in a heap's entry
    LEFT_SEEN,  # different left neighbours
    RIGHT_SEEN,  # different right neighbours
    JOINED_COUNT,  # of two occurrences side by side, weighted
    JOINED_NUMBER,  # the same, plain
    TABLE_SIZE,  # sizes of the arrays
    PAIRS_SIZE,
    PLACES_SIZE,
    NEEDED,  # free places that the next merge may fill
    DATA_SIZE,
    WORDS,
    STATE_SIZE,
) = range(20)

BYTES = 256
KEY_BYTES = 8  # of a token, compared at once
WORD_SHIFT = 4
SEPARATOR, DEAD, NONE = -1, -2, -1
