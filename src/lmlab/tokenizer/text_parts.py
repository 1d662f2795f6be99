"""Text in parts that can be encoded independently, read by one thread after another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from lmlab.errors import ConfigError, DataError
from lmlab.records.byte_stream import ByteStream
from lmlab.records.documents import Documents, Rows, merged
from lmlab.records.file_kind import refuse_nul
from lmlab.records.plain_documents import END_OF_TEXT
from lmlab.records.text import Text, TextFile
from lmlab.records.text_hash import TextHash
from lmlab.storage.io import translate_read_errors
from lmlab.tokenizer.buffers import PADDING, Memory
from lmlab.tokenizer.kernels.library import load
from lmlab.tokenizer.raw_rows import ROWS, read_raw, space_of
from lmlab.tokenizer.utf8 import not_utf8

PART_BYTES = 2 << 20
_TAIL = 64  # bytes in which the end of a file is looked for


class Part(NamedTuple):
    """A part of a text, in a buffer.

    Attributes:
        file: index of the file in which the part begins.
        place: where in the file: the byte of plain text, the row of records.
        next_file: index of the file after the part.
        next_place: where the part ends.
        size: bytes in the buffer.
        documents: the documents of the part, each of which the end of text follows in the buffer;
            special tokens inside them are text. None for a part of plain text.
        is_plain: whether special tokens are text in a part of plain text.
        ends_document: whether the end of text follows such a part, which is not in the buffer.
        disk_bytes: bytes read from disk since the last part.
        rows: what :meth:`TextParts.finish` reads into the buffer.
        steps: what :meth:`TextParts.add_to_hash` does.
    """

    file: int
    place: int
    next_file: int
    next_place: int
    size: int
    documents: Documents | None = None
    is_plain: bool = False
    ends_document: bool = False
    disk_bytes: int = 0
    rows: Sequence[Rows] = ()
    steps: Sequence[Callable[[], None]] = ()


class TextParts:
    """The parts of a text, from the beginning or from a place.

    Threads share the work on a part: one at a time takes it from the files, any thread finishes it,
    and all add their parts to the hash in order. :meth:`read` does all three.

    Args:
        text: what is read.
        marker: the end of text of the tokenizer; None if it has none.
        cut: given a buffer and its size, the last position where the text may be cut; negative or
            0 for none. None cuts it anywhere, and reads records in Python.
        text_hash: receives the text in order; each place between parts is marked in it.
        part_bytes: bytes of plain text that are read at a time, more where it cannot be cut; of
            records half as many, since they are in memory twice.

    Attributes:
        skipped_bytes: bytes on disk of the text that :meth:`skip_to` has read.
    """

    def __init__(
        self,
        text: Text,
        marker: bytes | None,
        cut: Callable[[Memory, int], int] | None,
        text_hash: TextHash | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.text, self.marker, self._cut = text, marker, cut
        self._has_kernels = cut is not None
        self.text_hash = text_hash or TextHash()
        self._part_bytes, self._block_bytes = part_bytes, (part_bytes + 1) // 2
        self._file, self._place = 0, 0
        self._stream: ByteStream | None = None
        self._rows: Iterator[Rows] | None = None
        self._state: tuple[int, ...] | None = None
        self._carried, self._tail = b"", b""
        self._disk_bytes = 0  # reported of the current file
        self._steps: list[Callable[[], None]] = []  # of the part that is taken next
        self.skipped_bytes = 0

    def buffer(self) -> Memory:
        """A buffer for :meth:`read`."""
        return Memory(self._part_bytes + PADDING)

    def read(self, buffer: Memory) -> tuple[Part | None, Memory]:
        """Read the next part into ``buffer``, or a larger one; None at the end of the text.

        Raises:
            DataError: a file cannot be read.
            TextChangedError: a file has changed since it was opened.
            ConfigError: a document needs an end of text, and the tokenizer has none.
        """
        part, buffer = self.take(buffer)
        if part is None:
            self.end_hash()
            return None, buffer
        part, buffer = self.finish(part, buffer)
        self.add_to_hash(part)
        return part, buffer

    def take(self, buffer: Memory) -> tuple[Part | None, Memory]:
        """Take the next part from the files, one thread at a time; see :meth:`read`."""
        files = self.text.files
        while self._file < len(files):
            file = files[self._file]
            if self.text.is_as_it_stands(file) or self.text.is_one_document(file):
                part, buffer = self._read_plain(file, buffer)
            else:
                part, buffer = self._take_rows(file), buffer
            if part is not None:
                steps, self._steps = self._steps, []
                return part._replace(steps=steps), buffer
        return None, buffer

    def finish(self, part: Part, buffer: Memory) -> tuple[Part, Memory]:
        """Read the documents of a part into ``buffer``, or a larger one; any thread may.

        Raises:
            DataError: a record is not valid, or plain text has a NUL byte.
        """
        if not part.rows:
            file = self.text.files[part.file]
            refuse_nul(buffer.view[: part.size], self.text.named(file), part.place)
            return part, buffer
        size, blocks, marker = 0, [], self.end_marker()
        for rows in part.rows:
            found, buffer = self._read_rows(rows, buffer, size)
            blocks.append(found)
            size += len(found.text)
        add = [functools.partial(self.text_hash.add_documents, one, marker) for one in blocks]
        return part._replace(
            size=size, documents=merged(blocks, buffer.view[:size]), rows=(),
            steps=[*part.steps, *add],
        ), buffer  # fmt: skip

    def _read_rows(self, rows: Rows, buffer: Memory, at: int) -> tuple[Documents, Memory]:
        """Read documents into ``buffer``, or a larger one, from ``at``."""
        marker, kernels = self.end_marker(), load(ROWS) if self._has_kernels else None
        if rows.raw is not None and kernels is not None:
            buffer = _enlarged(buffer, at, at + space_of(rows.raw, marker))
            found = read_raw(rows, marker, buffer, at, kernels[rows.raw.kernel])
            if found is not None:
                return found, buffer
        found = rows.read()
        end = at + len(found.text)
        buffer = _enlarged(buffer, at, end)
        buffer.view[at:end] = found.text
        return found, buffer

    def add_to_hash(self, part: Part) -> None:
        """Add a finished part to the hash: in the order of parts, while its buffer holds it."""
        for step in part.steps:
            step()
        self.text_hash.mark(part.next_file, part.next_place)

    def end_hash(self) -> None:
        """End the hash, once all parts are in it."""
        for step in self._steps:
            step()
        self._steps = []
        self.text_hash.end_documents()

    def skip_to(self, file: int, place: int) -> bool:
        """Read up to a place for the hash; return whether there is a part that ends there."""
        buffer, part_bytes, cut = self.buffer(), self._part_bytes, self._cut
        self._cut, self._block_bytes = None, 1  # one block at a time
        while (self._file, self._place) < (file, place):
            if self._file == file:
                self._part_bytes = min(part_bytes, max(1, place - self._place))
            part, buffer = self.read(buffer)
            if part is None:
                break
            self.skipped_bytes += part.disk_bytes
        self._part_bytes, self._block_bytes = part_bytes, (part_bytes + 1) // 2
        self._cut = cut
        return (self._file, self._place) == (file, place)

    def close(self) -> None:
        """Close all files."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._rows = None

    def end_marker(self) -> bytes:
        """The end of text. Raises :class:`ConfigError` if the tokenizer has none."""
        if self.marker is None:
            raise ConfigError(
                f"{self.text.key or 'text'}: its documents need a tokenizer with an end of text, "
                "which this one has not",
                "add <|endoftext|> to tokenizer.special_tokens, or set tokenizer.end_of_text",
            )
        return self.marker

    def _read_plain(self, file: TextFile, buffer: Memory) -> tuple[Part | None, Memory]:
        if self._stream is None:
            self._begin_text()
            if not self.text.is_one_document(file):
                self._steps.append(self.text_hash.end_documents)
            self._stream = self.text.stream(file)
            self._place = max(self._place, file.start)
            self._opened(file)
        before = self._place
        size, has_ended, buffer = self._fill(file, buffer)
        is_plain = self.text.is_one_document(file)
        data = buffer.view[:size]
        self._tail = (self._tail + bytes(data[-_TAIL:]))[-_TAIL:]
        if is_plain and size == 0 and before == file.start:
            self._close_file(file)  # an empty document
            return None, buffer
        add = self.text_hash.add_part if is_plain else self.text_hash.update
        self._steps.append(functools.partial(add, data))
        self._place += size
        here, added = self._file, 0
        disk_bytes = self._progress(self._stream.position())
        if has_ended:
            added, buffer = self._end_plain(file, buffer, size, is_plain)
        if size + added == 0 and not is_plain:
            return None, buffer
        return Part(
            here, before, self._file, self._place, size + added, None, is_plain,
            is_plain and has_ended, disk_bytes,
        ), buffer  # fmt: skip

    def _end_plain(
        self, file: TextFile, buffer: Memory, size: int, is_plain: bool
    ) -> tuple[int, Memory]:
        """End a file of plain text; return the bytes of an end of text added to the buffer."""
        added = 0
        if is_plain:
            self.end_marker()
            self._steps.append(self.text_hash.end_document)
        else:
            following = self._file + 1
            is_last = following == len(self.text.files) or self.text.begins_text(following)
            if not is_last and not self._tail.rstrip().endswith(END_OF_TEXT) and self._tail:
                # Nothing else says that a document ends here.
                marker = self.end_marker()
                added = len(marker)
                buffer = _enlarged(buffer, size, size + added)
                buffer.view[size : size + added] = marker
                self._steps.append(functools.partial(self.text_hash.update, END_OF_TEXT))
            self._steps.append(self.text_hash.end_file)
        self._close_file(file)
        return added, buffer

    def _fill(self, file: TextFile, buffer: Memory) -> tuple[int, bool, Memory]:
        """Read until the text can be cut or ends: the size, whether it ends, and the buffer."""
        assert self._stream is not None
        filled = len(self._carried)
        limit = max(self._part_bytes, filled + 1)
        buffer = _enlarged(buffer, 0, limit)
        buffer.view[:filled] = self._carried
        self._carried = b""
        while True:
            room = limit - filled
            left = room if file.stop is None else min(room, file.stop - self._place - filled)
            count = self._stream.fill(buffer.view[filled : filled + left])
            filled += count
            if count < room:
                return filled, True, buffer
            end = filled if self._cut is None else self._cut(buffer, filled)
            if end > 0:
                self._carried = bytes(buffer.view[end:filled])
                return end, False, buffer
            limit = 2 * filled
            buffer = _enlarged(buffer, filled, limit)

    def _take_rows(self, file: TextFile) -> Part | None:
        if self._rows is None:
            self._begin_text()
            self._steps.append(self.text_hash.begin_documents)
            self._rows = self.text.read_documents(file, self.end_marker())
            self._opened(file)
        taken: list[Rows] = []
        before, size = self._place, 0
        # Blocks are small, so that caches hold them; a part has several, because threads wait for
        # each other at its ends.
        while size < self._block_bytes:
            rows = next(self._rows, None)
            if rows is None:
                self._rows = iter(())
                break
            taken.append(rows)
            size, self._place = size + rows.num_bytes, rows.rows
        if not taken:
            self._close_file(file)
            return None
        return Part(
            self._file, before, self._file, self._place, size, rows=taken,
            disk_bytes=self._progress(taken[-1].disk_bytes),
        )  # fmt: skip

    def _begin_text(self) -> None:
        if self.text.begins_text(self._file):
            self._steps.append(self.text_hash.begin_text)

    def _opened(self, file: TextFile) -> None:
        self._tail, self._carried, self._disk_bytes = b"", b"", 0
        with translate_read_errors(self.text.named(file)):
            self._state = self.text.state(file)

    def _close_file(self, file: TextFile) -> None:
        self.close()
        self.text.check_unchanged(file, self._state)
        self._file, self._place = self._file + 1, 0

    def _progress(self, position: int) -> int:
        new = max(0, position - self._disk_bytes)
        self._disk_bytes += new
        return new


def marker_among(specials: Sequence[bytes]) -> bytes:
    """What ends documents while words are counted; empty where no special token does."""
    return END_OF_TEXT if END_OF_TEXT in specials else b""


def malformed_part(text: Text, part: Part, offset: int) -> DataError:
    """The error for a part that is not UTF-8 from ``offset`` on."""
    file = text.files[part.file]
    if part.documents is None:
        return not_utf8(text.named(file), part.place + offset, file.path)
    return DataError(
        f"{text.named(file)}: rows {part.place + 1} to {part.next_place}: expected UTF-8 text",
        "write the file again with text in UTF-8",
    )


def _enlarged(buffer: Memory, used: int, capacity: int) -> Memory:
    if len(buffer) - PADDING >= capacity:
        return buffer
    larger = Memory(capacity + PADDING)
    larger.view[:used] = buffer.view[:used]
    return larger
