"""Special tokens as two arrays, the form in which kernels take them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

# Places in the first array: number of tokens, bytes of the longest, the byte that all begin with
# (or -1), then where each begins in the second array, and the end.
COUNT, LONGEST, ONLY_FIRST, OFFSETS = 0, 1, 2, 3


def pack(
    tokens: Sequence[bytes],
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.uint8]]]:
    """Arrays of the special tokens, which must stand longest first, so that the longest is found.

    The second array holds, for each byte, whether a token begins with it, then their text.
    """
    assert all(len(a) >= len(b) > 0 for a, b in itertools.pairwise(tokens))
    begins = {token[0] for token in tokens}
    only = min(begins) if len(begins) == 1 else -1
    offsets = np.cumsum([256, *map(len, tokens)])
    longest = len(tokens[0]) if tokens else 1
    numbers = np.array([len(tokens), longest, only, *offsets], dtype=np.int64)
    flags = bytes(byte in begins for byte in range(256))
    return numbers, np.frombuffer(flags + b"".join(tokens), dtype=np.uint8)
