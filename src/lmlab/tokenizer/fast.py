"""Encoding text in memory by the kernels: one text, a stream of strings, many documents."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from lmlab.tokenizer.kernels.layout import OUT_SLACK
from lmlab.tokenizer.native import PADDING, Array, Tables, Worker
from lmlab.tokenizer.utf8 import to_utf8

_BLOCK_CHARACTERS = 1 << 20
_STREAM_CHARACTERS = 1 << 16
_BATCH_CHARACTERS = 1 << 20


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
        """The ids of a text."""
        if len(text) > _BLOCK_CHARACTERS:
            return self._encode_long(text)
        data = to_utf8(text)
        with self._worker() as worker:
            return worker.encode(*_padded([data])).ids.copy()

    def _encode_long(self, text: str) -> Array:
        """By parts, straight into the result: fresh memory costs more than encoding does."""
        out = np.empty(len(text) // 2 + 4 * _BLOCK_CHARACTERS, dtype=self.tables.dtype)
        count = 0
        with self._worker() as worker:
            for buffer, size in self._parts([text], _BLOCK_CHARACTERS):
                needed = count + size + OUT_SLACK
                if needed > len(out):
                    out.resize(max(needed, len(out) * 3 // 2), refcheck=False)
                starts = np.array([0, size], dtype=np.int64)
                count += len(worker.encode(buffer, starts, out[count:]).ids)
        out.resize(count, refcheck=False)
        return out

    def chunks(self, strings: Iterable[str], block: int = _STREAM_CHARACTERS) -> Iterator[Array]:
        """The ids of the concatenated strings, about ``block`` bytes of text at a time."""
        with self._worker() as worker:
            for buffer, size in self._parts(strings, block):
                ids = worker.encode(buffer, np.array([0, size], dtype=np.int64)).ids
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
        waiting: deque[Future[list[Array]]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for batch in _batches(documents):
                waiting.append(pool.submit(self._encode_batch, batch))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _encode_batch(self, batch: Sequence[str]) -> list[Array]:
        with self._worker() as worker:
            encoded = worker.encode(*_padded([to_utf8(text) for text in batch]))
            return np.split(encoded.ids.copy(), encoded.ends[:-1])


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
