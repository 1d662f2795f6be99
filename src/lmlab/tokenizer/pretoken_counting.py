"""Counting the pre-tokens of files with compiled kernels, in several threads.

Text of any size passes through a few buffers: each thread reads the next piece, up to a position
where text may be cut, and counts its words with a counter per thread. Sums do not depend on which
thread counted what, so neither the number of threads nor the size of the pieces changes the result.
Memory grows only with the number of distinct words.
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
from lmlab.storage.content_hash import FilesHash
from lmlab.storage.io import translate_read_errors
from lmlab.tokenizer.buffers import address
from lmlab.tokenizer.kernels.classes import class_table
from lmlab.tokenizer.kernels.kinds import KINDS
from lmlab.tokenizer.kernels.library import Kernel, load
from lmlab.tokenizer.kernels.specials import pack
from lmlab.tokenizer.utf8 import not_utf8, size_of_texts, to_utf8
from lmlab.tokenizer.word_counter import WordCounter
from lmlab.tokenizer.word_counts import WordCounts

PIECE_BYTES = 1 << 22
_PADDING = 64  # bytes after a text that kernels may read
_MAX_THREADS = 8

Array = np.ndarray[Any, Any]


def count_words(
    paths: Sequence[Path],
    special_tokens: Sequence[str],
    pattern: str,
    *,
    threads: int | None = None,
    piece_bytes: int = PIECE_BYTES,
    text_hash: FilesHash | None = None,
) -> WordCounts | None:
    """Count the pre-tokens of all files; none spans two files.

    Args:
        paths: UTF-8 text files.
        special_tokens: strings that are cut out of the text.
        pattern: regular expression of the pre-tokens.
        threads: number of threads; None for one per usable core, at most eight.
        piece_bytes: bytes that a thread reads at a time; more where the text cannot be cut.
        text_hash: receives the bytes that are counted.

    Returns:
        The words of two bytes or more; None without kernels for this machine and pattern.

    Raises:
        DataError: a file is not UTF-8.
    """
    kernels = load("counting") if pattern in KINDS else None
    if kernels is None:
        return None
    specials = pack(sorted(map(to_utf8, special_tokens), key=len, reverse=True))
    total = size_of_texts(paths)
    if threads is None:
        threads = min(usable_cores(), _MAX_THREADS, 1 + total // piece_bytes)
    with progress(total=total, desc="counting words", unit="B", unit_scale=True) as bar:
        reader = _PieceReader(
            kernels, paths, specials, piece_bytes, bar.update, text_hash or FilesHash()
        )
        counters = [WordCounter(kernels, specials, KINDS[pattern]) for _ in range(threads)]
        if threads == 1:
            reader.count_into(counters[0])
        else:
            with concurrent.futures.ThreadPoolExecutor(threads) as pool:
                jobs = [pool.submit(reader.count_into, counter) for counter in counters]
                try:
                    for job in concurrent.futures.as_completed(jobs):
                        job.result()
                finally:
                    reader.close()  # the other threads end after their current piece
    reader.check()
    first, *others = counters
    for other in others:
        first.absorb(other)
    return first.words()


class _PieceReader:
    """Reads the text of the files in pieces that can be counted independently."""

    def __init__(
        self,
        kernels: Mapping[str, Kernel],
        paths: Sequence[Path],
        specials: tuple[array[int], bytes],
        piece_bytes: int,
        advance: Callable[[int], object],
        text_hash: FilesHash,
    ) -> None:
        self._text_hash = text_hash
        self._cut, self._specials, self._advance = kernels["cut"], specials, advance
        self._all, self._paths = list(paths), list(reversed(paths))
        self._piece_bytes = piece_bytes
        self._lock = threading.Lock()
        self._malformed: list[tuple[int, int]] = []
        self._file: io.FileIO | None = None
        self._path = Path()
        self._carried = b""  # text read after the last cut
        self._offset = 0  # of that text in the file

    def close(self) -> None:
        """Return no more pieces."""
        with self._lock:
            self._paths = []
            if self._file is not None:
                self._file.close()
                self._file = None

    def count_into(self, counter: WordCounter) -> None:
        """Count pieces until none is left."""
        buffer = np.zeros(self._piece_bytes + _PADDING, dtype=np.uint8)
        while True:
            with self._lock:
                buffer, size, path, start = self._next(buffer)
            if size == 0:
                return
            malformed = counter.count(buffer, size)
            if malformed is not None:
                with self._lock:  # check() reports the first in the text
                    self._malformed.append((self._all.index(path), start + malformed))
                self.close()
                return

    def check(self) -> None:
        """Raise :class:`DataError` if any file was malformed."""
        if self._malformed:
            index, offset = min(self._malformed)
            raise not_utf8(self._all[index], offset)

    def _next(self, buffer: Array) -> tuple[Array, int, Path, int]:
        """The buffer, or a larger one, with the next piece; its size, file and offset."""
        while True:
            if self._file is None:
                if not self._paths:
                    return buffer, 0, self._path, 0
                self._path = self._paths.pop()
                with translate_read_errors(self._path):
                    self._file = io.FileIO(self._path)
                self._carried, self._offset = b"", 0
            size = len(self._carried)
            buffer = _enlarged(buffer, 0, size + 1)
            buffer[:size] = np.frombuffer(self._carried, dtype=np.uint8)
            start = self._offset
            while True:
                read = self._file.readinto(buffer.data[size:-_PADDING])
                self._advance(read)
                self._text_hash.update(buffer.data[size : size + read])
                size += read
                if read == 0:
                    self._text_hash.end_file()
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
            self._carried = buffer[end:size].tobytes()
            self._offset += end
            return buffer, end, self._path, start


def _enlarged(buffer: Array, used: int, capacity: int) -> Array:
    if len(buffer) - _PADDING >= capacity:
        return buffer
    larger = np.zeros(capacity + _PADDING, dtype=np.uint8)
    larger[:used] = buffer[:used]
    return larger
