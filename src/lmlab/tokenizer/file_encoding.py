"""Text files to ids in a file: several threads, memory that does not grow, and a resumable place.

Each thread reads the next few MiB up to a place where text may be cut and encodes them in its own
buffers. Where ids belong is known once all text before them is encoded; the thread that makes it
known writes them, so that none waits for a slower one. The ids are the same for any number of
threads and any size of the parts.
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
from lmlab.storage.io import translate_read_errors
from lmlab.tokenizer.buffers import Memory
from lmlab.tokenizer.kernel_encoder import PADDING, Encoded, Tables, Worker
from lmlab.tokenizer.utf8 import not_utf8

_PART_BYTES = 2 << 20
_LARGEST_WRITE = 1 << 30
_EARLY_PARTS = 2  # for each thread, encoded before those that come before them


class Place(NamedTuple):
    """How far encoding has come.

    Attributes:
        file: index of the file being read.
        offset: bytes of it that are encoded.
        num_tokens: ids written for all text before.
        num_text_bytes: bytes of that text, special tokens not counted.
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
    advance: Callable[[Place, int], None],
    start: Place | None = None,
    threads: int | None = None,
    part_bytes: int = _PART_BYTES,
) -> Place:
    """Encode the text of ``paths``, each on its own, and write the ids one behind the other.

    Args:
        tables: of the tokenizer; ids are written little-endian in its dtype.
        paths: UTF-8 text files.
        descriptor: of the file that ids are written to.
        advance: called in order, by one thread at a time, with a place up to which every id has
            been written, and the bytes read since the last call.
        start: where to go on; None for the beginning.
        threads: how many encode at a time; None for one a processor.
        part_bytes: what a thread reads at a time; more where text cannot be cut.

    Returns:
        The place at the end.

    Raises:
        DataError: a file cannot be read, or is not UTF-8.
        OSError: ids cannot be written.
    """
    threads = threads or usable_cores()
    job = _Job(tables, paths, descriptor, start or Place(), advance, part_bytes, threads)
    workers: list[threading.Thread] = []
    try:
        with contextlib.suppress(RuntimeError):  # no more threads here: those that there are do
            for _ in range(threads - 1):
                worker = threading.Thread(target=job.work, daemon=True)
                worker.start()
                workers.append(worker)
        job.work()
        for worker in workers:
            worker.join()
    finally:
        job.stop()  # for whoever is at work still: this thread was interrupted
        for worker in workers:
            worker.join()
        job.close()
    if job.error is not None:
        raise job.error
    return job.safe


class _Part(NamedTuple):
    """Text from one cut to the next, in a worker's buffer."""

    number: int
    file: int
    offset: int
    size: int
    ends_file: bool


class _Ids(NamedTuple):
    """Of a part, in a worker's buffer while no other part is encoded there."""

    part: _Part
    data: memoryview | bytes
    num_ids: int
    special_bytes: int


class _Job:
    def __init__(
        self,
        tables: Tables,
        paths: Sequence[Path],
        descriptor: int,
        start: Place,
        advance: Callable[[Place, int], None],
        part_bytes: int,
        threads: int,
    ) -> None:
        self.tables, self.paths = tables, paths
        # Its own: where an interruption ends the wait for a thread, that may go on writing, and
        # the caller's would be closed by then and might be another file's.
        self.descriptor = os.dup(descriptor)
        self.advance, self.part_bytes = advance, part_bytes
        self.error: BaseException | None = None
        self._error_part = -1
        self.safe = start
        self._reading = threading.Lock()
        self._file, self._offset, self._number = start.file, start.offset, 0
        self._input: int | None = None
        self._turn = threading.Condition()
        self._next, self._reserved = 0, start  # whose turn it is, and where its ids begin
        self._most_early = _EARLY_PARTS * threads
        self._early: dict[int, _Ids] = {}
        self._written: dict[int, tuple[Place, int]] = {}
        self._next_safe = 0
        self._stopped = False

    def work(self) -> None:
        """Encode parts until none is left; the body of each thread."""
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
                for place, ids in self._placed(part, encoded):
                    self._write(memoryview(ids.data), place.num_tokens * encoded.id_bytes)
                    self._finish(ids.part)
        except BaseException as error:  # raised again by encode_files, in the thread that called
            # Whoever has an earlier part ends it: of malformed bytes, the first is told.
            number = -1 if part is None or not isinstance(error, DataError) else part.number
            with self._turn:
                if self.error is None or number < self._error_part:
                    self.error, self._error_part = error, number
            self.stop()

    def stop(self) -> None:
        """Let every thread end after what it is doing."""
        with self._turn:
            self._stopped = True
            self._turn.notify_all()

    def close(self) -> None:
        """Close all files; no thread is at work any more."""
        self._close_input()
        os.close(self.descriptor)

    def _close_input(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = None

    def _read(self, buffer: Memory) -> tuple[_Part | None, Memory]:
        """The next part, in ``buffer`` or a larger one; None at the end of the last file."""
        if self._file == len(self.paths):
            return None, buffer
        with translate_read_errors(self.paths[self._file]):
            if self._input is None:
                self._input = os.open(self.paths[self._file], os.O_RDONLY)
            size, ended, buffer = self._fill(buffer)
        part = _Part(self._number, self._file, self._offset, size, ended)
        self._number += 1
        self._offset += size
        if ended:
            self._close_input()
            self._file, self._offset = self._file + 1, 0
        return part, buffer

    def _fill(self, buffer: Memory) -> tuple[int, bool, Memory]:
        """Read until the text can be cut or ends: bytes up to there, whether it ends, the buffer.

        A buffer is read again from the cut by whoever comes next; the page cache has it.
        """
        assert self._input is not None
        found = 0
        while True:
            room = len(buffer) - PADDING
            while found < room:
                count = os.preadv(self._input, [buffer.view[found:room]], self._offset + found)
                if count == 0:
                    return found, True, buffer
                found += count
            size = self.tables.cut(buffer, found)
            if size > 0:
                return size, False, buffer
            larger = Memory(2 * room + PADDING)
            larger.view[:found] = buffer.view[:found]
            buffer = larger

    def _check(self, part: _Part, encoded: Encoded) -> None:
        if encoded.malformed is not None:
            raise not_utf8(self.paths[part.file], part.offset + encoded.malformed)

    def _placed(self, part: _Part, encoded: Encoded) -> list[tuple[Place, _Ids]]:
        """The ids whose places this part's make known: its own, and those that waited for it."""
        data: memoryview | bytes = encoded.data
        if part.number != self._next:  # once it is, no other thread changes that
            data = bytes(data)
        placed = []
        with self._turn:
            self._early[part.number] = _Ids(part, data, encoded.num_ids, encoded.special_bytes)
            while not self._stopped and self._next in self._early:
                ids = self._early.pop(self._next)
                placed.append((self._reserved, ids))
                self._reserve(ids)
            self._turn.notify_all()
            while not self._stopped and part.number - self._next >= self._most_early:
                self._turn.wait()
        return placed

    def _reserve(self, ids: _Ids) -> None:
        part, place = ids.part, self._reserved
        ended = part.ends_file
        self._reserved = Place(
            part.file + 1 if ended else part.file,
            0 if ended else part.offset + part.size,
            place.num_tokens + ids.num_ids,
            place.num_text_bytes + part.size - ids.special_bytes,
        )
        self._written[part.number] = (self._reserved, -1)
        self._next += 1

    def _write(self, data: memoryview, offset: int) -> None:
        while data:
            count = os.pwrite(self.descriptor, data[:_LARGEST_WRITE], offset)
            data, offset = data[count:], offset + count

    def _finish(self, part: _Part) -> None:
        with self._turn:
            self._written[part.number] = (self._written[part.number][0], part.size)
            while self._written.get(self._next_safe, (None, -1))[1] >= 0:
                self.safe, size = self._written.pop(self._next_safe)
                self._next_safe += 1
                self.advance(self.safe, size)
