"""Counting the distinct words of text in memory with compiled kernels."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from lmlab.tokenizer.buffers import Memory, address
from lmlab.tokenizer.kernels import word_state as fields
from lmlab.tokenizer.kernels.classes import class_table
from lmlab.tokenizer.kernels.library import Kernel
from lmlab.tokenizer.word_counts import WordCounts

_STATE_SIZE = 16
_INITIAL_SHORT, _INITIAL_LONG, _INITIAL_TEXT = 1 << 15, 1 << 12, 1 << 15

Array = np.ndarray[Any, Any]


class WordCounter:
    """Counts distinct words; see :mod:`lmlab.tokenizer.kernels.word_table`.

    Args:
        kernels: those of the group ``counting``.
        specials: special tokens; see :func:`lmlab.tokenizer.kernels.specials.pack`.
        kind: of the pattern; see :mod:`lmlab.tokenizer.kernels.kinds`.
    """

    def __init__(
        self, kernels: Mapping[str, Kernel], specials: tuple[array[int], bytes], kind: int
    ) -> None:
        self._kernels, self._specials, self._kind = kernels, specials, kind
        self._state = np.zeros(_STATE_SIZE, dtype=np.uint64)
        self._ends = np.empty(fields.BATCH, dtype=np.int64)
        self._slots = np.empty(fields.BATCH, dtype=np.int64)
        self._counter = np.zeros(fields.COUNTER_SIZE, dtype=np.int64)
        self._short = _empty_short(_INITIAL_SHORT)
        self._long = _empty_long(_INITIAL_LONG)
        self._text = np.empty(_INITIAL_TEXT, dtype=np.uint8)
        self._counter[fields.SHORT_SIZE] = _INITIAL_SHORT
        self._counter[fields.LONG_SIZE] = _INITIAL_LONG
        self._counter[fields.TEXT_SIZE] = _INITIAL_TEXT

    def count(self, buffer: Array | Memory, size: int) -> int | None:
        """Count the words of a text; return the index of its first malformed byte, or None."""
        self._counter[fields.POSITION] = 0
        numbers, text = self._specials
        fixed = list(
            map(address, (class_table(), numbers, text, self._state, self._ends, self._slots))
        )
        count, start = self._kernels["count"], address(buffer)
        while code := count(self._kind, start, size, *fixed, *self._addresses()):
            self._grow(code)
        malformed = int(self._counter[fields.MALFORMED])
        return malformed - 1 if malformed else None

    def absorb(self, other: WordCounter) -> None:
        """Add the counts of ``other``, which must not be used afterwards."""
        other._counter[fields.NEXT] = 0
        while code := self._kernels["absorb"](*self._addresses(), *other._addresses()):
            self._grow(code)

    def words(self) -> WordCounts:
        """All words of two bytes or more; counting can continue."""
        num_words = int(self._counter[fields.SHORT] + self._counter[fields.LONG])
        size = int(self._counter[fields.SHORT_BYTES] + self._counter[fields.TEXT]) + num_words + 1
        data = np.empty(size, dtype=np.uint8)
        starts, counts = (
            np.empty(num_words + 1, dtype=np.int64),
            np.empty(num_words, dtype=np.int64),
        )
        written = self._kernels["list_words"](
            *self._addresses(), *map(address, (data, starts, counts))
        )
        return WordCounts(data[: starts[written]], starts[: written + 1], counts[:written])

    def _addresses(self) -> list[int]:
        return list(map(address, (self._counter, self._short, self._long, self._text)))

    def _grow(self, code: int) -> None:
        counter = self._counter
        if code == fields.GROW_TEXT:
            larger = np.empty(max(2 * len(self._text), int(counter[fields.NEEDED])), dtype=np.uint8)
            larger[: counter[fields.TEXT]] = self._text[: counter[fields.TEXT]]
            self._text = larger
            counter[fields.TEXT_SIZE] = len(larger)
        elif code == fields.GROW_SHORT:
            old, size = self._short, int(counter[fields.SHORT_SIZE])
            self._short = _empty_short(2 * size)
            counter[fields.SHORT_SIZE] = 2 * size
            self._kernels["refill_short"](
                address(counter), address(old), size, address(self._short)
            )
        else:
            assert code == fields.GROW_LONG
            old, size = self._long, int(counter[fields.LONG_SIZE])
            self._long = _empty_long(2 * size)
            counter[fields.LONG_SIZE] = 2 * size
            self._kernels["refill_long"](address(counter), address(old), size, address(self._long))


def _empty_short(size: int) -> Array:
    return np.zeros(fields.SHORT_FIELDS * size, dtype=np.uint64)


def _empty_long(size: int) -> Array:
    return np.zeros(fields.LONG_FIELDS * size, dtype=np.int64)
