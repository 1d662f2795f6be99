"""Counting the pre-tokens of files with compiled kernels, in several threads.

A text of any size goes through a few buffers: whoever is free reads the next piece, up to a place
where text may be cut, and counts its words in a table of its own. Sums do not depend on who counted
what, and so neither the number of threads nor the size of the pieces changes the result. Memory
grows with the number of different words only.
"""

from __future__ import annotations

import concurrent.futures
import io
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.console.progress_bar import progress
from lmlab.runtime.processor import usable_cores
from lmlab.storage.io import translate_read_errors
from lmlab.tokenizer.buffers import address
from lmlab.tokenizer.kernels import word_state as at
from lmlab.tokenizer.kernels.classes import class_table
from lmlab.tokenizer.kernels.kinds import KINDS
from lmlab.tokenizer.kernels.library import Kernel, load
from lmlab.tokenizer.kernels.specials import pack
from lmlab.tokenizer.utf8 import not_utf8, to_utf8
from lmlab.tokenizer.word_counts import WordCounts

PIECE_BYTES = 1 << 22
_PADDING = 64  # bytes that kernels may read behind a text
_STATE_SIZE = 16
_FIRST_SHORT, _FIRST_LONG, _FIRST_TEXT = 1 << 15, 1 << 12, 1 << 15
_MOST_THREADS = 8

Array = np.ndarray[Any, Any]


def count_words(
    paths: Sequence[Path],
    special_tokens: Sequence[str],
    pattern: str,
    *,
    threads: int | None = None,
    piece_bytes: int = PIECE_BYTES,
) -> WordCounts | None:
    """Count the pre-tokens of all files; each file begins anew.

    Args:
        paths: UTF-8 text files.
        special_tokens: strings that are cut out of the text.
        pattern: regular expression of the pre-tokens.
        threads: how many count; None for one a core, at most eight.
        piece_bytes: bytes that a thread takes at a time; more where no cut is in reach.

    Returns:
        The words of two bytes or more; None where no kernel can be had or knows the pattern.

    Raises:
        DataError: a file is not UTF-8.
    """
    kernels = load("counting") if pattern in KINDS else None
    if kernels is None:
        return None
    specials = pack(sorted(map(to_utf8, special_tokens), key=len, reverse=True))
    total = sum(path.stat().st_size for path in paths)
    if threads is None:
        threads = min(usable_cores(), _MOST_THREADS, 1 + total // piece_bytes)
    with progress(total=total, desc="counting words", unit="B", unit_scale=True) as bar:
        source = _Source(kernels, paths, specials, piece_bytes, bar.update)
        tables = [WordTable(kernels, specials, KINDS[pattern]) for _ in range(threads)]
        if threads == 1:
            source.count_into(tables[0])
        else:
            with concurrent.futures.ThreadPoolExecutor(threads) as pool:
                jobs = [pool.submit(source.count_into, table) for table in tables]
                try:
                    for job in concurrent.futures.as_completed(jobs):
                        job.result()
                finally:
                    source.close()  # the others stop after the piece they have
    source.check()
    first = tables.pop(0)
    while tables:
        first.absorb(tables.pop(0))
    return first.words()


class _Source:
    """The files' text, piece by piece, to whichever thread asks."""

    def __init__(
        self,
        kernels: Mapping[str, Kernel],
        paths: Sequence[Path],
        specials: tuple[array[int], bytes],
        piece_bytes: int,
        advance: Callable[[int], object],
    ) -> None:
        self._cut, self._specials, self._advance = kernels["cut"], specials, advance
        self._all, self._paths = list(paths), list(reversed(paths))
        self._piece_bytes = piece_bytes
        self._lock = threading.Lock()
        self._malformed: list[tuple[int, int]] = []
        self._file: io.FileIO | None = None
        self._path = Path()
        self._held = b""  # what was read behind the last cut
        self._at = 0  # where that begins in the file

    def close(self) -> None:
        """Give out nothing more."""
        with self._lock:
            self._paths = []
            if self._file is not None:
                self._file.close()
                self._file = None

    def count_into(self, table: WordTable) -> None:
        """Count pieces until none is left."""
        buffer = np.zeros(self._piece_bytes + _PADDING, dtype=np.uint8)
        while True:
            with self._lock:
                buffer, size, path, start = self._next(buffer)
            if size == 0:
                return
            malformed = table.count(buffer, size)
            if malformed is not None:
                with self._lock:  # the first in the text is told
                    self._malformed.append((self._all.index(path), start + malformed))
                self.close()
                return

    def check(self) -> None:
        """Raise :class:`DataError` if a malformed byte was met."""
        if self._malformed:
            number, place = min(self._malformed)
            raise not_utf8(self._all[number], place)

    def _next(self, buffer: Array) -> tuple[Array, int, Path, int]:
        """The buffer (or a larger one) with the next piece, its size, its file and place."""
        while True:
            if self._file is None:
                if not self._paths:
                    return buffer, 0, self._path, 0
                self._path = self._paths.pop()
                with translate_read_errors(self._path):
                    self._file = io.FileIO(self._path)
                self._held, self._at = b"", 0
            size = len(self._held)
            buffer = _enlarged(buffer, 0, size + 1)
            buffer[:size] = np.frombuffer(self._held, dtype=np.uint8)
            start = self._at
            while True:
                read = self._file.readinto(buffer.data[size:-_PADDING])
                self._advance(read)
                size += read
                if read == 0:
                    self._file.close()
                    self._file = None
                    end = size
                    break
                table, (numbers, text) = class_table(), self._specials
                fixed = map(address, (table, numbers, text))
                end = self._cut(address(buffer), size, *fixed)
                if end > 0:
                    break
                buffer = _enlarged(buffer, size, 2 * size)
            if end == 0:
                continue  # an empty file
            self._held = buffer[end:size].tobytes()
            self._at += end
            return buffer, end, self._path, start


def _enlarged(buffer: Array, used: int, room: int) -> Array:
    if len(buffer) - _PADDING >= room:
        return buffer
    larger = np.zeros(room + _PADDING, dtype=np.uint8)
    larger[:used] = buffer[:used]
    return larger


class WordTable:
    """Different words and their counts; see :mod:`lmlab.tokenizer.kernels.word_table`."""

    def __init__(
        self, kernels: Mapping[str, Kernel], specials: tuple[array[int], bytes], kind: int
    ) -> None:
        self._kernels, self._specials, self._kind = kernels, specials, kind
        self._state = np.zeros(_STATE_SIZE, dtype=np.uint64)
        self._ends = np.empty(at.BATCH, dtype=np.int64)
        self._places = np.empty(at.BATCH, dtype=np.int64)
        self._counter = np.zeros(at.COUNTER_SIZE, dtype=np.int64)
        self._short = _empty_short(_FIRST_SHORT)
        self._long = _empty_long(_FIRST_LONG)
        self._text = np.empty(_FIRST_TEXT, dtype=np.uint8)
        self._counter[at.SHORT_SIZE] = _FIRST_SHORT
        self._counter[at.LONG_SIZE] = _FIRST_LONG
        self._counter[at.TEXT_SIZE] = _FIRST_TEXT

    def count(self, buffer: Array, size: int) -> int | None:
        """Count the words of a text; return the place of its first malformed byte, or None."""
        self._counter[at.PLACE] = 0
        numbers, text = self._specials
        fixed = list(
            map(address, (class_table(), numbers, text, self._state, self._ends, self._places))
        )
        count, start = self._kernels["count"], address(buffer)
        while code := count(self._kind, start, size, *fixed, *self._addresses()):
            self._grow(code)
        malformed = int(self._counter[at.MALFORMED])
        return malformed - 1 if malformed else None

    def absorb(self, other: WordTable) -> None:
        """Add the counts of another table, which is used up."""
        other._counter[at.NEXT] = 0
        while code := self._kernels["absorb"](*self._addresses(), *other._addresses()):
            self._grow(code)

    def words(self) -> WordCounts:
        """All words; the table can still be used."""
        number = int(self._counter[at.SHORT] + self._counter[at.LONG])
        size = int(self._counter[at.SHORT_BYTES] + self._counter[at.TEXT]) + number + 1
        data = np.empty(size, dtype=np.uint8)
        starts, counts = np.empty(number + 1, dtype=np.int64), np.empty(number, dtype=np.int64)
        written = self._kernels["list_words"](
            *self._addresses(), *map(address, (data, starts, counts))
        )
        return WordCounts(data[: starts[written]], starts[: written + 1], counts[:written])

    def _addresses(self) -> list[int]:
        return list(map(address, (self._counter, self._short, self._long, self._text)))

    def _grow(self, code: int) -> None:
        counter = self._counter
        if code == at.GROW_TEXT:
            larger = np.empty(max(2 * len(self._text), int(counter[at.NEEDED])), dtype=np.uint8)
            larger[: counter[at.TEXT]] = self._text[: counter[at.TEXT]]
            self._text = larger
            counter[at.TEXT_SIZE] = len(larger)
        elif code == at.GROW_SHORT:
            old, size = self._short, int(counter[at.SHORT_SIZE])
            self._short = _empty_short(2 * size)
            counter[at.SHORT_SIZE] = 2 * size
            self._kernels["refill_short"](
                address(counter), address(old), size, address(self._short)
            )
        else:
            assert code == at.GROW_LONG
            old, size = self._long, int(counter[at.LONG_SIZE])
            self._long = _empty_long(2 * size)
            counter[at.LONG_SIZE] = 2 * size
            self._kernels["refill_long"](address(counter), address(old), size, address(self._long))


def _empty_short(size: int) -> Array:
    return np.zeros(at.SHORT_FIELDS * size, dtype=np.uint64)


def _empty_long(size: int) -> Array:
    return np.zeros(at.LONG_FIELDS * size, dtype=np.int64)
