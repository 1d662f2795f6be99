"""Kernels that cut text: for tests, and to find where a buffer may be cut."""

from __future__ import annotations

from typing import Any

from lmlab.tokenizer.kernels.language import ZERO, kernel
from lmlab.tokenizer.kernels.scan import FINISHED, begin, scan
from lmlab.tokenizer.kernels.segments import find_cut, find_special


@kernel("i64 u8* i64 i64 u8* u64* i64* i64 i64")
def boundaries(
    kind: int,
    text: Any,
    start: int,
    end: int,
    table: Any,
    state: Any,
    ends: Any,
    capacity: int,
    resumed: int,
) -> int:
    """Write where the pre-tokens of a segment end; see :mod:`lmlab.tokenizer.kernels.scan`.

    Returns the number of ends written. Call again with ``resumed`` = 1 until ``state[FINISHED]`` is
    1.
    """
    if resumed == 0:
        begin(state, start)
    if state[FINISHED] != ZERO:
        return 0
    return scan(kind, text, start, end, table, state, ends, capacity)


@kernel("u8* i64 i64 u8* i64* u8*")
def cut(text: Any, start: int, end: int, table: Any, specials: Any, special_text: Any) -> int:
    """See :func:`lmlab.tokenizer.kernels.segments.find_cut`."""
    return find_cut(text, start, end, table, specials, special_text)


@kernel("u8* i64 i64 i64* u8*")
def special(text: Any, position: int, end: int, specials: Any, special_text: Any) -> int:
    """See :func:`lmlab.tokenizer.kernels.segments.find_special`."""
    return find_special(text, position, end, specials, special_text)
