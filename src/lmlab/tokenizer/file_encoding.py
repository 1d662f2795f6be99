"""Encode text files to a file of ids, in several threads, bounded memory and resumably.

Each thread reads the next few MiB, up to a position where text may be cut, and encodes them in its
own buffers. The file offset of a part's ids is known once all text before it is encoded. The thread
that completes this knowledge writes the ids, so no thread waits for a slower one. The ids do not
depend on the number of threads or the size of the parts.
"""

from __future__ import annotations

import contextlib
import os
import threading
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lmlab.errors import DataError
from lmlab.runtime.processor import usable_cores
from lmlab.storage.content_hash import FilesHash
from lmlab.storage.io import translate_read_errors
from lmlab.tokenizer.buffers import Memory
from lmlab.tokenizer.kernel_encoder import PADDING, Encoded, Tables, Worker
from lmlab.tokenizer.utf8 import not_utf8

_PART_BYTES = 2 << 20
_LARGEST_WRITE = 1 << 30
_PARTS_AHEAD = 2  # per thread: parts encoded while an earlier one is not


class Position(NamedTuple):
    """A position in the text, between two parts, and what has been written up to it.

    Attributes:
        file: index of the file.
        offset: byte offset in the file.
        num_tokens: number of ids of all text before the position.
        num_text_bytes: bytes of that text, not counting special tokens.
    """

    file: int = 0
    offset: int = 0
    num_tokens: int = 0
    num_text_bytes: int = 0


def encode_files(
    tables: Tables,
    paths: Sequence[Path],
    descriptor: int,
    *,
    advance: Callable[[Position, int], None],
    start: Position | None = None,
    text_hash: FilesHash | None = None,
    threads: int | None = None,
    part_bytes: int = _PART_BYTES,
) -> Position:
    """Encode each file of ``paths`` and write the ids of all of them in order.

    Args:
        tables: the tokenizer's; ids are written little-endian in its dtype.
        paths: UTF-8 text files.
        descriptor: file descriptor that ids are written to.
        advance: called in order, by one thread at a time, with a position before which every id
            has been written, and the bytes read since the last call.
        start: where to resume; None for the beginning.
        text_hash: receives the bytes that are encoded, in order; to resume, those before ``start``
            are in it. Each position that ``advance`` receives is marked in it.
        threads: number of threads; None for one per usable core.
        part_bytes: bytes that a thread reads at a time; more where the text cannot be cut.

    Returns:
        The position at the end.

    Raises:
        DataError: a file cannot be read or is not UTF-8.
        OSError: the ids cannot be written.
    """
    threads = threads or usable_cores()
    begin, text = start or Position(), text_hash or FilesHash()
    job = _Job(tables, paths, descriptor, begin, advance, text, part_bytes, threads)
    workers: list[threading.Thread] = []
    try:
        with contextlib.suppress(RuntimeError):  # the system allows no more threads
            for _ in range(threads - 1):
                worker = threading.Thread(target=job.work, daemon=True)
                worker.start()
                workers.append(worker)
        job.work()
        for worker in workers:
            worker.join()
    finally:
        job.stop()  # an interruption of this thread ends the others too
        for worker in workers:
            worker.join()
        job.close()
    if job.error is not None:
        raise job.error
    return job.safe


class _Part(NamedTuple):
    """Text between two cuts, in a thread's buffer."""

    number: int
    file: int
    offset: int
    size: int
    ends_file: bool


class _Ids(NamedTuple):
    """The ids of a part; ``data`` may be the worker's buffer, which the next part overwrites."""

    part: _Part
    data: memoryview | bytes
    num_ids: int
    special_bytes: int


class _Job:
    """The state that the threads share: the input, the order of parts, and the output."""

    def __init__(
        self,
        tables: Tables,
        paths: Sequence[Path],
        descriptor: int,
        start: Position,
        advance: Callable[[Position, int], None],
        text_hash: FilesHash,
        part_bytes: int,
        threads: int,
    ) -> None:
        self.tables, self.paths = tables, paths
        # A duplicate: after an interruption a thread may still write, when the caller's descriptor
        # is closed and may refer to another file.
        self.descriptor = os.dup(descriptor)
        self.advance, self.text_hash, self.part_bytes = advance, text_hash, part_bytes
        self.error: BaseException | None = None
        self._error_part = -1
        self.safe = start
        self._reading = threading.Lock()
        self._file, self._offset, self._number = start.file, start.offset, 0
        self._input: int | None = None
        self._changed = threading.Condition()
        self._next, self._reserved = 0, start  # the next part in order, and where its ids begin
        self._max_ahead = _PARTS_AHEAD * threads
        self._ahead: dict[int, _Ids] = {}
        self._written: dict[int, tuple[Position, int]] = {}
        self._next_safe = 0
        self._stopped = False

    def work(self) -> None:
        """Encode parts until none is left: the body of each thread."""
        part = None
        try:
            worker = Worker(self.tables)
            buffer = Memory(self.part_bytes + PADDING)
            while not self._stopped:
                with self._reading:
                    part, buffer = self._read(buffer)
                if part is None:
                    return
                encoded = worker.encode(buffer, array("q", [0, part.size]))
                self._check(part, encoded)
                for position, ids in self._in_order(part, encoded):
                    self._write(memoryview(ids.data), position.num_tokens * encoded.id_bytes)
                    self._finish(ids.part)
        except BaseException as error:  # encode_files raises it in the calling thread
            # Threads finish earlier parts, so that the first malformed byte is reported.
            number = -1 if part is None or not isinstance(error, DataError) else part.number
            with self._changed:
                if self.error is None or number < self._error_part:
                    self.error, self._error_part = error, number
            self.stop()

    def stop(self) -> None:
        """Make every thread end after its current step."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        """Close all files, once every thread has ended."""
        self._close_input()
        os.close(self.descriptor)

    def _close_input(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = None

    def _read(self, buffer: Memory) -> tuple[_Part | None, Memory]:
        """Read the next part into ``buffer`` or a larger one; None at the end of the last file."""
        if self._file == len(self.paths):
            return None, buffer
        with translate_read_errors(self.paths[self._file]):
            if self._input is None:
                self._input = os.open(self.paths[self._file], os.O_RDONLY)
            size, ended, buffer = self._fill(buffer)
        part = _Part(self._number, self._file, self._offset, size, ended)
        self._number += 1
        self._offset += size
        self.text_hash.update(buffer.view[:size])
        if ended:
            self.text_hash.end_file()
            self._close_input()
            self._file, self._offset = self._file + 1, 0
        self.text_hash.mark(self._file, self._offset)
        return part, buffer

    def _fill(self, buffer: Memory) -> tuple[int, bool, Memory]:
        """Read until the text can be cut or ends.

        Bytes after the cut are read again for the next part; the page cache has them.

        Returns:
            The size of the part, whether it ends the file, and the buffer.
        """
        assert self._input is not None
        filled = 0
        while True:
            capacity = len(buffer) - PADDING
            while filled < capacity:
                count = os.preadv(
                    self._input, [buffer.view[filled:capacity]], self._offset + filled
                )
                if count == 0:
                    return filled, True, buffer
                filled += count
            size = self.tables.cut(buffer, filled)
            if size > 0:
                return size, False, buffer
            larger = Memory(2 * capacity + PADDING)
            larger.view[:filled] = buffer.view[:filled]
            buffer = larger

    def _check(self, part: _Part, encoded: Encoded) -> None:
        if encoded.malformed is not None:
            raise not_utf8(self.paths[part.file], part.offset + encoded.malformed)

    def _in_order(self, part: _Part, encoded: Encoded) -> list[tuple[Position, _Ids]]:
        """The ids whose positions are known with this part: its own, and those waiting for it."""
        data: memoryview | bytes = encoded.data
        if part.number != self._next:  # once equal, no other thread changes it
            data = bytes(data)
        ready = []
        with self._changed:
            self._ahead[part.number] = _Ids(part, data, encoded.num_ids, encoded.special_bytes)
            while not self._stopped and self._next in self._ahead:
                ids = self._ahead.pop(self._next)
                ready.append((self._reserved, ids))
                self._reserve(ids)
            self._changed.notify_all()
            while not self._stopped and part.number - self._next >= self._max_ahead:
                self._changed.wait()
        return ready

    def _reserve(self, ids: _Ids) -> None:
        part, position = ids.part, self._reserved
        ended = part.ends_file
        self._reserved = Position(
            part.file + 1 if ended else part.file,
            0 if ended else part.offset + part.size,
            position.num_tokens + ids.num_ids,
            position.num_text_bytes + part.size - ids.special_bytes,
        )
        self._written[part.number] = (self._reserved, -1)
        self._next += 1

    def _write(self, data: memoryview, offset: int) -> None:
        while data:
            count = os.pwrite(self.descriptor, data[:_LARGEST_WRITE], offset)
            data, offset = data[count:], offset + count

    def _finish(self, part: _Part) -> None:
        with self._changed:
            self._written[part.number] = (self._written[part.number][0], part.size)
            while self._written.get(self._next_safe, (None, -1))[1] >= 0:
                self.safe, size = self._written.pop(self._next_safe)
                self._next_safe += 1
                self.advance(self.safe, size)
