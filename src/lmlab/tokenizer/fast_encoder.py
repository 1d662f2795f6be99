"""Encoding text in memory by kernels: one text, a stream of strings, many documents."""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from lmlab.runtime.processor import usable_cores
from lmlab.tokenizer.buffers import PADDING
from lmlab.tokenizer.kernel_encoder import Tables, Worker
from lmlab.tokenizer.kernels.layout import OUT_SLACK
from lmlab.tokenizer.utf8 import to_utf8

_BLOCK_CHARACTERS = 1 << 20
_SLICE_CHARACTERS = 1 << 13
_WINDOW_CHARACTERS = 1 << 12
_STREAM_CHARACTERS = 1 << 16
_BATCH_CHARACTERS = 1 << 20
_CONVERTED_AT_ONCE = 1 << 14  # ids of a text
_CHUNK_IDS = 1 << 12  # of a stream: Python integers take ten times the memory of an array

Array = np.ndarray[Any, np.dtype[Any]]
_T = TypeVar("_T")
_R = TypeVar("_R")


class FastEncoder:
    """An :class:`~lmlab.tokenizer.encoder.Encoder` by kernels.

    Args:
        tables: the tokenizer's.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._idle: list[Worker] = []

    @contextlib.contextmanager
    def _worker(self) -> Iterator[Worker]:
        """A worker that no other thread uses at the same time."""
        worker = self._idle.pop() if self._idle else Worker(self.tables)
        try:
            yield worker
        finally:
            self._idle.append(worker)

    def encode_array(self, text: str) -> Array:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`; a long text uses every usable core."""
        if len(text) > _BLOCK_CHARACTERS:
            return self._encode_long(text, usable_cores())
        data = to_utf8(text)
        with self._worker() as worker:
            return worker.encode(*_padded([data])).ids.copy()

    def encode(self, text: str) -> list[int]:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`; equal ids are one and the same object.

        An object per token would take more time than encoding, and most of the memory.
        """
        ids = self.encode_array(text)
        if len(ids) < self.tables.vocab_size:
            return ids.tolist()
        found: list[int] = []
        for start in range(0, len(ids), _CONVERTED_AT_ONCE):
            found += self._integers[ids[start : start + _CONVERTED_AT_ONCE]].tolist()
        return found

    @functools.cached_property
    def _integers(self) -> Array:
        """A Python integer for each id, (V,)."""
        return np.arange(self.tables.vocab_size).astype(object)

    def _encode_long(self, text: str, threads: int) -> Array:
        """Encode parts into one preallocated result: fresh memory costs more than encoding."""
        out = np.empty(len(text) // 2, dtype=self.tables.dtype)
        count = 0
        with ThreadPoolExecutor(threads) as pool:
            for ids in _ahead(pool, self._encode_span, self._spans(text), threads):
                if count + len(ids) > len(out):
                    out.resize(2 * (count + len(ids)), refcheck=False)
                out[count : count + len(ids)] = ids
                count += len(ids)
        out.resize(count, refcheck=False)
        return out

    def _encode_span(self, span: tuple[str, int, int]) -> Array:
        text, start, end = span
        # Small slices: most of them are pure ASCII, which is faster to convert.
        slices = range(start, end, _SLICE_CHARACTERS)
        data = [to_utf8(text[first : min(first + _SLICE_CHARACTERS, end)]) for first in slices]
        padded = np.frombuffer(b"".join([*data, bytes(PADDING)]), dtype=np.uint8)
        out = np.empty(len(padded) + OUT_SLACK, dtype=self.tables.dtype)
        with self._worker() as worker:
            return worker.encode(padded, _single(len(padded) - PADDING), out).ids

    def _spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Yield the text with start and end of each part that can be encoded independently."""
        start = 0
        while start < len(text):
            end = self._span_end(text, start)
            yield text, start, end
            start = end

    def _span_end(self, text: str, start: int) -> int:
        size = _BLOCK_CHARACTERS
        while start + size < len(text):
            end, window = start + size, _WINDOW_CHARACTERS
            while window < 4 * size:
                first = max(start, end - window)
                data = to_utf8(text[first:end])
                buffer = np.frombuffer(data + bytes(PADDING), dtype=np.uint8)
                position = self.tables.cut(buffer, len(data))
                # A special token may begin before the window, but none is as long as half of it.
                if position > (len(data) // 2 if first > start else 0):
                    return first + len(data[:position].decode("utf-8"))
                window *= 8
            size *= 2
        return len(text)

    def encode_chunks(self, strings: Iterable[str]) -> Iterator[list[int]]:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`."""
        for ids in self.encode_blocks(strings):
            for start in range(0, len(ids), _CHUNK_IDS):
                yield ids[start : start + _CHUNK_IDS].tolist()

    def encode_blocks(
        self, strings: Iterable[str], block: int = _STREAM_CHARACTERS
    ) -> Iterator[Array]:
        """Yield the ids of the concatenated strings, about ``block`` bytes of text at a time."""
        with self._worker() as worker:
            for buffer, size in self._blocks(strings, block):
                ids = worker.encode(buffer, _single(size)).ids
                if len(ids):
                    yield ids.copy()

    def _blocks(self, strings: Iterable[str], block: int) -> Iterator[tuple[Array, int]]:
        """Yield a reused buffer and the size of the text at its start that can be encoded alone."""
        buffer = np.empty(4 * block + PADDING, dtype=np.uint8)
        filled, threshold = 0, block
        for string in strings:
            for first in range(0, len(string), block):
                data = np.frombuffer(to_utf8(string[first : first + block]), dtype=np.uint8)
                if filled + len(data) + PADDING > len(buffer):
                    larger = np.empty(2 * (filled + len(data)) + PADDING, dtype=np.uint8)
                    larger[:filled] = buffer[:filled]
                    buffer = larger
                buffer[filled : filled + len(data)] = data
                filled += len(data)
                if filled < threshold:
                    continue
                size = self.tables.cut(buffer, filled)
                if size > 0:
                    yield buffer, size
                    buffer[: filled - size] = buffer[size:filled]
                    filled -= size
                # Try again only when text that cannot be cut has doubled.
                threshold = max(block, 2 * filled)
        yield buffer, filled

    def encode_many(self, documents: Iterable[str], threads: int) -> Iterator[Array]:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`; encodes a few batches ahead."""
        with ThreadPoolExecutor(threads) as pool:
            for batch in _ahead(pool, self._encode_batch, _batches(documents), threads):
                yield from batch

    def _encode_batch(self, batch: Sequence[str]) -> list[Array]:
        with self._worker() as worker:
            encoded = worker.encode(*_padded([to_utf8(text) for text in batch]))
            return np.split(encoded.ids.copy(), encoded.ends[:-1])


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[_T], _R], items: Iterable[_T], threads: int
) -> Iterator[_R]:
    """Yield the results of ``work`` in order, working on a few items ahead."""
    waiting: deque[Future[_R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > 2 * threads:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _single(size: int) -> Array:
    """The ``starts`` of a single text of ``size`` bytes; see :meth:`Worker.encode`."""
    return np.array([0, size], dtype=np.int64)


def _padded(texts: Sequence[bytes]) -> tuple[Array, Array]:
    """The concatenated texts with padding, and their ``starts``; see :meth:`Worker.encode`."""
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in texts], out=starts[1:])
    return np.frombuffer(b"".join([*texts, bytes(PADDING)]), dtype=np.uint8), starts


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    length = 0
    for document in documents:
        batch.append(document)
        length += len(document) + 1
        if length >= _BATCH_CHARACTERS:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch
