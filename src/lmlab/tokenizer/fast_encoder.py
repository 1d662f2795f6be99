"""Encoding text in memory by the kernels: one text, a stream of strings, many documents."""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from lmlab.runtime.processor import usable_cores
from lmlab.tokenizer.kernel_encoder import PADDING, Tables, Worker
from lmlab.tokenizer.kernels.layout import OUT_SLACK
from lmlab.tokenizer.utf8 import to_utf8

_BLOCK_CHARACTERS = 1 << 20
_SLICE_CHARACTERS = 1 << 13
_WINDOW_CHARACTERS = 1 << 12
_STREAM_CHARACTERS = 1 << 16
_BATCH_CHARACTERS = 1 << 20
_LIST_LENGTH = 1 << 14

Array = np.ndarray[Any, np.dtype[Any]]
_T = TypeVar("_T")
_R = TypeVar("_R")


class FastEncoder:
    """What :class:`~lmlab.tokenizer.tokenizer.Tokenizer` does in Python, by kernels.

    Args:
        tables: of the tokenizer.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._idle: list[Worker] = []

    @contextlib.contextmanager
    def _worker(self) -> Iterator[Worker]:
        """Buffers that no other thread uses meanwhile."""
        worker = self._idle.pop() if self._idle else Worker(self.tables)
        try:
            yield worker
        finally:
            self._idle.append(worker)

    def encode(self, text: str) -> Array:
        """The ids of a text, a long one in as many threads as there are processors."""
        if len(text) > _BLOCK_CHARACTERS:
            return self._encode_long(text, usable_cores())
        data = to_utf8(text)
        with self._worker() as worker:
            return worker.encode(*_padded([data])).ids.copy()

    def encode_as_list(self, text: str) -> list[int]:
        """The ids of a text, each id's places in the list being one and the same object.

        Making an object for each token would take more time than encoding, and most memory.
        """
        ids = self.encode(text)
        if len(ids) < self.tables.vocab_size:
            return ids.tolist()
        found: list[int] = []
        for start in range(0, len(ids), _LIST_LENGTH):
            found += self._integers[ids[start : start + _LIST_LENGTH]].tolist()
        return found

    @functools.cached_property
    def _integers(self) -> Array:
        """Python's integers for the ids."""
        return np.arange(self.tables.vocab_size).astype(object)

    def _encode_long(self, text: str, threads: int) -> Array:
        """By parts, into one result that is made before: fresh memory costs more than encoding."""
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
        # Small slices, for most of them are ASCII throughout, which is quicker.
        slices = range(start, end, _SLICE_CHARACTERS)
        data = [to_utf8(text[first : min(first + _SLICE_CHARACTERS, end)]) for first in slices]
        padded = np.frombuffer(b"".join([*data, bytes(PADDING)]), dtype=np.uint8)
        out = np.empty(len(padded) + OUT_SLACK, dtype=self.tables.dtype)
        with self._worker() as worker:
            return worker.encode(padded, _whole(len(padded) - PADDING), out).ids

    def _spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Parts of a text that can be encoded on their own: it, and where they begin and end."""
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
                place = self.tables.cut(buffer, len(data))
                # A special token may begin before the window, but none is as long as half of it.
                if place > (len(data) // 2 if first > start else 0):
                    return first + len(data[:place].decode("utf-8"))
                window *= 8
            size *= 2
        return len(text)

    def chunks(self, strings: Iterable[str], block: int = _STREAM_CHARACTERS) -> Iterator[Array]:
        """The ids of the concatenated strings, about ``block`` bytes of text at a time."""
        with self._worker() as worker:
            for buffer, size in self._parts(strings, block):
                ids = worker.encode(buffer, _whole(size)).ids
                if len(ids):
                    yield ids.copy()

    def _parts(self, strings: Iterable[str], block: int) -> Iterator[tuple[Array, int]]:
        """Text that can be encoded on its own, at the beginning of a buffer that is used again."""
        buffer = np.empty(4 * block + PADDING, dtype=np.uint8)
        held, enough = 0, block
        for string in strings:
            for first in range(0, len(string), block):
                data = np.frombuffer(to_utf8(string[first : first + block]), dtype=np.uint8)
                if held + len(data) + PADDING > len(buffer):
                    larger = np.empty(2 * (held + len(data)) + PADDING, dtype=np.uint8)
                    larger[:held] = buffer[:held]
                    buffer = larger
                buffer[held : held + len(data)] = data
                held += len(data)
                if held < enough:
                    continue
                size = self.tables.cut(buffer, held)
                if size > 0:
                    yield buffer, size
                    buffer[: held - size] = buffer[size:held]
                    held -= size
                # What cannot be cut is looked at again only when it has doubled.
                enough = max(block, 2 * held)
        yield buffer, held

    def many(self, documents: Iterable[str], threads: int) -> Iterator[Array]:
        """The ids of each document, in order; a few batches of documents are on their way."""
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
    """The results of ``work`` in order, with no more than a few items on their way."""
    waiting: deque[Future[_R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > 2 * threads:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _whole(size: int) -> Array:
    """One text of ``size`` bytes, as a worker takes it."""
    return np.array([0, size], dtype=np.int64)


def _padded(texts: Sequence[bytes]) -> tuple[Array, Array]:
    """Texts one behind the other, and where each begins, with the end of the last."""
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
