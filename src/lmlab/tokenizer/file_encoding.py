"""Encode a text to a file of ids, in several threads, bounded memory and resumably.

Each thread takes the next MiB or two, up to a position where text may be cut, and encodes them in
its own buffers. The file offset of a part's ids is known once all text before it is encoded. The
thread that completes this knowledge writes the ids, so no thread waits for a slower one. The ids do
not depend on the number of threads or the size of the parts.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from lmlab.errors import DataError
from lmlab.runtime.processor import usable_cores
from lmlab.tokenizer.buffers import Memory
from lmlab.tokenizer.kernel_encoder import Tables
from lmlab.tokenizer.part_encoder import EncodedPart, PartEncoder
from lmlab.tokenizer.text_parts import Part, TextParts

_LARGEST_WRITE = 1 << 30
_PARTS_AHEAD = 2  # per thread: parts encoded while an earlier one is not


class Position(NamedTuple):
    """A position in the text, between two parts, and what has been written up to it.

    Attributes:
        file: index of the file.
        place: the byte of plain text, or the row of records.
        num_tokens: number of ids of all text before the position.
        num_text_bytes: bytes of that text, not counting special tokens.
    """

    file: int = 0
    place: int = 0
    num_tokens: int = 0
    num_text_bytes: int = 0


def encode_files(
    tables: Tables,
    parts: TextParts,
    descriptor: int,
    *,
    end_id: int | None = None,
    advance: Callable[[Position, int], None],
    start: Position | None = None,
    threads: int | None = None,
) -> Position:
    """Encode a text and write its ids in order.

    Args:
        tables: the tokenizer's; ids are written little-endian in its dtype.
        parts: of the text, cut where ``tables`` say, at the place of ``start``; its hash has a
            mark at each position that ``advance`` receives.
        descriptor: file descriptor that ids are written to.
        end_id: the id that ends a document; None if the tokenizer has none.
        advance: called in order, by one thread at a time, with a position before which every id
            has been written, and the bytes read from disk since the last call.
        start: where to resume; None for the beginning.
        threads: number of threads; None for one per usable core.

    Returns:
        The position at the end.

    Raises:
        DataError: a file cannot be read or is not UTF-8.
        OSError: the ids cannot be written.
    """
    # Not one more for text that is decompressed: preempted threads find their caches emptied.
    threads = threads or usable_cores()
    job = _Job(tables, parts, end_id, descriptor, start or Position(), advance, threads)
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
    parts.end_hash()
    return job.safe._replace(file=len(parts.text.files), place=0)


class _Ids(NamedTuple):
    """The ids of a part; ``data`` may be the worker's buffer, which the next part overwrites."""

    number: int
    part: Part
    data: memoryview | bytes
    num_ids: int
    num_text_bytes: int


class _Job:
    """The state that the threads share: the input, the order of parts, and the output."""

    def __init__(
        self,
        tables: Tables,
        parts: TextParts,
        end_id: int | None,
        descriptor: int,
        start: Position,
        advance: Callable[[Position, int], None],
        threads: int,
    ) -> None:
        self.tables, self.parts, self.end_id = tables, parts, end_id
        # A duplicate: after an interruption a thread may still write, when the caller's descriptor
        # is closed and may refer to another file.
        self.descriptor = os.dup(descriptor)
        self.advance = advance
        self.error: BaseException | None = None
        self._error_part = -1
        self.safe = start
        self._turn = threading.Condition()  # of what concerns taking parts
        self._number = self._hashed = 0
        self._taken: deque[tuple[int, Part]] = deque()  # whose rows no thread reads yet
        self._most_taken = threads + 1
        self._is_taking = self._has_ended = False
        self._changed = threading.Condition()
        self._next, self._reserved = 0, start  # the next part in order, and where its ids begin
        self._max_ahead = _PARTS_AHEAD * threads
        self._ahead: dict[int, _Ids] = {}
        self._written: dict[int, tuple[Position, int]] = {}
        self._next_safe = 0
        self._stopped = False

    def work(self) -> None:
        """Encode parts until none is left: the body of each thread."""
        number = None
        try:
            encoder = PartEncoder(self.tables, self.parts, self.end_id)
            buffer = self.parts.buffer()
            while True:
                number, part, buffer = self._next_part(buffer)
                if part is None:
                    return
                part, buffer = self.parts.finish(part, buffer)
                if not self._hash_in_turn(number, part):
                    return
                encoded = encoder.encode(part, buffer)
                for position, ids in self._in_order(number, part, encoded):
                    self._write(memoryview(ids.data), position.num_tokens * self.tables.id_bytes)
                    self._finish(ids)
        except BaseException as error:  # encode_files raises it in the calling thread
            self._fail(number, error)

    def _fail(self, number: int | None, error: BaseException) -> None:
        """Stop with an error in a part, or in none."""
        # Threads finish earlier parts, so that the first malformed byte is reported.
        failed = -1 if number is None or not isinstance(error, DataError) else number
        with self._changed:
            if self.error is None or failed < self._error_part:
                self.error, self._error_part = error, failed
        self.stop()

    def _next_part(self, buffer: Memory) -> tuple[int, Part | None, Memory]:
        """Return the next part and its number; None at the end.

        One thread at a time takes parts from the files. Rows are taken ahead, because what their
        reader decompresses at once may be many parts, for which other threads need not wait.
        """
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._taken or not self._is_taking or self._stopped)
                if self._stopped:
                    is_earlier = self._taken and self._taken[0][0] < self._error_part
                    return *(self._taken.popleft() if is_earlier else (-1, None)), buffer
                if self._has_ended or self._is_taking or len(self._taken) >= self._most_taken:
                    return *(self._taken.popleft() if self._taken else (-1, None)), buffer
                self._is_taking = True
                number = self._number
                self._number += 1
            part = None
            try:
                part, buffer = self.parts.take(buffer)
            except DataError as error:
                self._fail(number, error)
            finally:
                with self._turn:
                    self._is_taking, self._has_ended = False, part is None
                    if part is not None and part.rows:
                        self._taken.append((number, part))
                    self._turn.notify_all()
            if part is not None and not part.rows:
                return number, part, buffer

    def _hash_in_turn(self, number: int, part: Part) -> bool:
        """Add a part to the hash once all before it are; return False if that will not be."""
        with self._changed:
            # Earlier parts than one with an error go on, so that the first error is reported.
            self._changed.wait_for(
                lambda: self._hashed == number or (self._stopped and self._error_part < number)
            )
            if self._hashed != number:
                return False
        self.parts.add_to_hash(part)
        with self._changed:
            self._hashed += 1
            self._changed.notify_all()
        return True

    def stop(self) -> None:
        """Make every thread end after its current step."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        with self._turn:
            self._turn.notify_all()

    def close(self) -> None:
        """Close all files, once every thread has ended."""
        self.parts.close()
        os.close(self.descriptor)

    def _in_order(
        self, number: int, part: Part, encoded: EncodedPart
    ) -> list[tuple[Position, _Ids]]:
        """The ids whose positions are known with this part: its own, and those waiting for it."""
        data: memoryview | bytes = encoded.data
        if number != self._next:  # once equal, no other thread changes it
            data = bytes(data)
        ready = []
        with self._changed:
            part = part._replace(documents=None)  # its buffer is used again
            self._ahead[number] = _Ids(number, part, data, encoded.num_ids, encoded.num_text_bytes)
            while not self._stopped and self._next in self._ahead:
                ids = self._ahead.pop(self._next)
                ready.append((self._reserved, ids))
                self._reserve(ids)
            self._changed.notify_all()
            while not self._stopped and number - self._next >= self._max_ahead:
                self._changed.wait()
        return ready

    def _reserve(self, ids: _Ids) -> None:
        part, position = ids.part, self._reserved
        self._reserved = Position(
            part.next_file,
            part.next_place,
            position.num_tokens + ids.num_ids,
            position.num_text_bytes + ids.num_text_bytes,
        )
        self._written[ids.number] = (self._reserved, -1)
        self._next += 1

    def _write(self, data: memoryview, offset: int) -> None:
        while data:
            count = os.pwrite(self.descriptor, data[:_LARGEST_WRITE], offset)
            data, offset = data[count:], offset + count

    def _finish(self, ids: _Ids) -> None:
        with self._changed:
            self._written[ids.number] = (self._written[ids.number][0], ids.part.disk_bytes)
            while self._written.get(self._next_safe, (None, -1))[1] >= 0:
                self.safe, size = self._written.pop(self._next_safe)
                self._next_safe += 1
                self.advance(self.safe, size)
