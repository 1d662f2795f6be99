"""Inlined: the state of a scan; see :mod:`lmlab.tokenizer.kernels.scan`."""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import U64, ZERO, inline

STATE_SIZE = 16

# Indices into the state. A classified block is pending until the next one is classified.
FINISHED = 0
MALFORMED_AT = 1
POSITION = 2  # where the next block begins
PENDING = 3  # 1 if a classified block is pending
MASKS = 4  # its masks: letters, numbers, white space, spaces, apostrophes, continuation bytes
BEFORE = 10  # class of the byte before it, one bit per class in the order below
SET, CLEAR = 11, 12  # boundaries in it that a contraction of the previous block sets and clears
SPILL = 13  # bytes in the next block of a character that begins in this one, and its class


@inline
def begin(state: Any, start: int) -> None:
    """Initialize ``state`` for a segment that begins at ``start``."""
    for position in range(STATE_SIZE):
        state[position] = ZERO
    state[POSITION] = U64(start)
