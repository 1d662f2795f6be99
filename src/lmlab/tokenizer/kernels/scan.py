"""Inlined: splitting a segment of UTF-8 into pre-tokens.

A *segment* is text between two special tokens; its end counts as the end of the text. Usage, inside
a kernel with ``table`` (:func:`~lmlab.tokenizer.kernels.classes.class_table`), ``state``
(``STATE_SIZE`` uint64) and ``ends`` (``capacity`` >= ``MIN_CAPACITY`` int64)::

    begin(state, start)
    while state[FINISHED] == ZERO:
        count = scan(kind, text, start, end, table, state, ends, capacity)
        ...  # pre-tokens end at ends[0], ..., ends[count - 1]; each begins where the last ended

The bytes from ``end`` to ``end + PADDING`` must be readable; their values do not matter.

The pre-tokens are those that ``regex`` finds with the pattern of that ``kind`` in the segment, byte
for byte. For malformed UTF-8 see :mod:`lmlab.tokenizer.kernels.characters`; ``state[MALFORMED_AT]``
is 1 + the position of the segment's first malformed byte, or 0.

GPT-2's pattern is matched 64 bytes at a time: each class of characters is a mask of 64 bits, one
per byte, and shifts of these masks give the boundaries. cl100k's is matched by character.
"""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.kinds import GPT2
from lmlab.tokenizer.kernels.language import inline
from lmlab.tokenizer.kernels.scan_cl100k import scan_cl100k
from lmlab.tokenizer.kernels.scan_gpt2 import scan_gpt2
from lmlab.tokenizer.kernels.scan_state import FINISHED, MALFORMED_AT, STATE_SIZE, begin

__all__ = ["FINISHED", "MALFORMED_AT", "MIN_CAPACITY", "PADDING", "STATE_SIZE", "begin", "scan"]

PADDING = 64
MIN_CAPACITY = 256


@inline
def scan(
    kind: int, text: Any, start: int, end: int, table: Any, state: Any, ends: Any, capacity: int
) -> int:
    """Write where the next pre-tokens end; return their number. See the module."""
    if kind == GPT2:
        return scan_gpt2(text, start, end, table, state, ends, capacity)
    return scan_cl100k(kind, text, end, table, state, ends, capacity)
