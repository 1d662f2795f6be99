"""Sizes and offsets that kernels share with the Python code around them."""

from __future__ import annotations

# The tables of encoded pre-tokens, in uint64; see :mod:`lmlab.tokenizer.kernels.encoding`.
LONGEST_SHORT = 15
ENTRY = 4
ENTRIES_PER_LINE = 2
LONGEST_CACHED, MAX_CACHED_IDS = 64, 22
LONG_IDS = LONGEST_CACHED // 8
LONG_ENTRY = LONG_IDS + MAX_CACHED_IDS // 2

# A slot of the table of merges holds two ids and a rank; in an empty slot every bit is set.
ID_BITS, RANK_BITS = 20, 24
MAX_IDS, MAX_MERGES = (1 << ID_BITS) - 1, (1 << RANK_BITS) - 1

# Results in `control`: ids written, bytes in special tokens, 1 + index of the first malformed byte
# or 0, and the length of a pre-token that is too long for the buffers.
NUM_IDS, SPECIAL_BYTES, MALFORMED_BYTE, NEEDED = 0, 1, 2, 3
CONTROL_SIZE = 8

# Sizes of buffers that the caller provides.
ENDS_CAPACITY = 2048
AHEAD = 32
GROUP_CAPACITY = 3 * 2 * AHEAD
OUT_SLACK = 16
