"""Special tokens as numbers and bytes, the form that kernels take."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence

# Indices into the numbers: count of tokens, length of the longest, the first byte that all share
# (or -1), then where each begins in the bytes, and the end of the last.
COUNT, LONGEST, ONLY_FIRST, OFFSETS = 0, 1, 2, 3


def pack(tokens: Sequence[bytes]) -> tuple[array[int], bytes]:
    """The numbers and the bytes of special tokens, ordered by descending length.

    The bytes begin with a flag for each byte value, whether a token begins with it.
    """
    assert all(len(a) >= len(b) > 0 for a, b in itertools.pairwise(tokens))
    begins = {token[0] for token in tokens}
    only = min(begins) if len(begins) == 1 else -1
    offsets = itertools.accumulate(map(len, tokens), initial=256)
    longest = len(tokens[0]) if tokens else 1
    numbers = array("q", [len(tokens), longest, only, *offsets])
    flags = bytes(byte in begins for byte in range(256))
    return numbers, flags + b"".join(tokens)
