"""Special tokens as numbers and bytes, the form in which kernels take them."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence

# Places in the numbers: how many of tokens, bytes of the longest, the byte that all begin with
# (or -1), then where each begins in the bytes, and the end.
COUNT, LONGEST, ONLY_FIRST, OFFSETS = 0, 1, 2, 3


def pack(tokens: Sequence[bytes]) -> tuple[array[int], bytes]:
    """Both of the special tokens, which must stand longest first, so that the longest is found.

    The second holds, for each byte, whether a token begins with it, then their text.
    """
    assert all(len(a) >= len(b) > 0 for a, b in itertools.pairwise(tokens))
    begins = {token[0] for token in tokens}
    only = min(begins) if len(begins) == 1 else -1
    offsets = itertools.accumulate(map(len, tokens), initial=256)
    longest = len(tokens[0]) if tokens else 1
    numbers = array("q", [len(tokens), longest, only, *offsets])
    flags = bytes(byte in begins for byte in range(256))
    return numbers, flags + b"".join(tokens)
