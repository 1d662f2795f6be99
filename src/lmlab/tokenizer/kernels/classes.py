"""The class of every Unicode character, frozen, so that ids do not depend on a library's version.

``python -m lmlab.tokenizer.kernels.classes`` prints the table of the installed ``regex``.
:mod:`lmlab.tokenizer.kernels.class_table` was made this way (Unicode 18); a test compares it with
``regex`` code point by code point.
"""

from __future__ import annotations

import base64
import functools
import sys
import zlib
from array import array
from typing import TYPE_CHECKING, Any

from lmlab.tokenizer.kernels.class_table import TABLE

if TYPE_CHECKING:
    import numpy as np

# None of the others; \p{L}, \p{N} and \s of the patterns; carriage return and line feed, which are
# white space too (their two low bits are those of SPACE).
OTHER, LETTER, NUMBER, SPACE, NEWLINE = 0, 1, 2, 3, 7
CODE_POINTS = 0x11_0000
BLOCKS_START = CODE_POINTS >> 8  # the index has one byte for each block of 256 code points

MADE_BY_REGEX = "2026.11.15"  # version that made the table
_PATTERNS = [(r"\s+", SPACE), (r"[\r\n]+", NEWLINE), (r"\p{L}+", LETTER), (r"\p{N}+", NUMBER)]


@functools.cache
def class_table() -> bytes:
    """The table for kernels: an index by the upper bits of the code point, then blocks of 256.

    The class of ``c`` is ``table[BLOCKS_START + 256 * table[c >> 8] + (c & 255)]``; for ASCII it is
    ``table[BLOCKS_START + c]``.
    """
    return zlib.decompress(base64.b85decode(TABLE))


def class_of_each() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The class of each code point, (0x110000,)."""
    import numpy as np  # not needed for encoding

    table = np.frombuffer(class_table(), dtype=np.uint8)
    return table[BLOCKS_START:].reshape(-1, 256)[table[:BLOCKS_START]].reshape(-1)


def classes_of_regex() -> bytes:
    """The class of each code point according to the installed ``regex``."""
    import regex

    classes = bytearray([OTHER]) * CODE_POINTS
    everything = array("I", range(CODE_POINTS)).tobytes().decode("utf-32", "surrogatepass")
    for pattern, kind in _PATTERNS:
        for run in regex.finditer(pattern, everything):
            classes[run.start() : run.end()] = bytes([kind]) * len(run[0])
    return bytes(classes)


def table_of_regex() -> str:
    """``TABLE`` according to the installed ``regex``."""
    classes = classes_of_regex()
    kinds: dict[bytes, int] = {}
    index = [
        kinds.setdefault(classes[start : start + 256], len(kinds))
        for start in range(0, CODE_POINTS, 256)
    ]
    packed = zlib.compress(bytes(index) + b"".join(kinds), 9)
    return base64.b85encode(packed).decode("ascii")


if __name__ == "__main__":
    import textwrap

    sys.stdout.write("\n".join(textwrap.wrap(table_of_regex(), 90)) + "\n")
