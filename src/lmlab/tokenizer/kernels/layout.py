"""Sizes and places that kernels and the Python code around them share."""

from __future__ import annotations

# The tables of encoded pre-tokens, in uint64; see :mod:`lmlab.tokenizer.kernels.encoding`.
LONGEST_WORD = 15
ENTRY = 4
ENTRIES_PER_LINE = 2
LONGEST_KEPT, MOST_IDS_KEPT = 64, 22
LONG_IDS = LONGEST_KEPT // 8
LONG_ENTRY = LONG_IDS + MOST_IDS_KEPT // 2

# A slot of the table of merges holds two ids and a rank; one with every bit set is empty.
ID_BITS, RANK_BITS = 20, 24
MOST_IDS, MOST_MERGES = (1 << ID_BITS) - 1, (1 << RANK_BITS) - 1

# What encoding reports: ids written, bytes in special tokens, 1 + the first malformed byte or 0,
# and the length of a pre-token that found no room.
NUM_IDS, SPECIAL_BYTES, MALFORMED_BYTE, NEEDED = 0, 1, 2, 3
CONTROL_SIZE = 8

# Rooms that the caller provides.
ENDS_ROOM = 2048
AHEAD = 32
GROUP_ROOM = 3 * 2 * AHEAD
OUT_SLACK = 16
