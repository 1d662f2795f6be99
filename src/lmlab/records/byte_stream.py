"""The bytes of a file after decompression, from several frames or members too."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import zstandard

from lmlab.errors import DataError
from lmlab.records.file_kind import (
    HEAD_BYTES,
    LONGEST_FIRST_LINE,
    FileKind,
    compression_of,
    layout_of,
)
from lmlab.records.zstd_frames import ZstdFrames
from lmlab.storage.io import translate_read_errors

STANDARD_INPUT = Path("-")
_DAMAGES = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class ReadsInto(Protocol):
    """A binary stream."""

    def readinto(self, view: Any, /) -> int:
        """Fill ``view`` as far as bytes are at hand; 0 at the end."""
        ...


class ByteStream:
    """The decompressed bytes of one file, recognized by its first bytes.

    Args:
        path: the file, a pipe, or ``-`` for standard input.
        named: the beginning of messages, such as ``data.train=a.txt``.

    Attributes:
        kind: what the file holds.

    Raises:
        DataError: it cannot be read, or is recognized and not text.
    """

    def __init__(self, path: Path, named: Path | str) -> None:
        self.path, self.named = path, named
        with translate_read_errors(str(named)):
            self._raw = _open(path)
            head = self._raw.peek(HEAD_BYTES)
        compression = compression_of(head)
        self._stream = _decompressed(self._raw, compression)
        self._head, self._end = b"", 0
        try:
            self._head = self._first_bytes()
            self.kind = FileKind(compression, layout_of(self._head, str(named)))
        except BaseException:
            self.close()
            raise

    def _first_bytes(self) -> bytes:
        """The first bytes, to the end of the first line where this may be an object of JSON."""
        head = bytearray()
        limit = HEAD_BYTES
        while len(head) < limit:
            piece = bytearray(min(HEAD_BYTES, limit - len(head)))
            count = self._read(memoryview(piece))
            if count == 0:
                break
            head += piece[:count]
            is_open = head[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" and b"\n" not in head
            limit = LONGEST_FIRST_LINE if is_open else HEAD_BYTES
        return bytes(head)

    def readinto(self, view: memoryview) -> int:
        """Fill ``view`` as far as bytes are at hand; 0 at the end.

        Raises:
            DataError: the file is damaged, or cut off.
        """
        if self._head:
            count = min(len(view), len(self._head))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
            return count
        return self._read(view)

    def _read(self, view: memoryview) -> int:
        try:
            return self._stream.readinto(view)
        except _DAMAGES as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DataError(
                f"{self.named} cannot be read: {reason}", "copy or download the file again"
            ) from error

    def skip(self, size: int) -> None:
        """Read over ``size`` bytes."""
        if size and isinstance(self._stream, io.BufferedReader) and self._stream.seekable():
            self._head = b""
            self._stream.seek(size)
            return
        view = memoryview(bytearray(min(size, 1 << 20)))
        while size:
            count = self.readinto(view[:size])
            if count == 0:
                return
            size -= count

    def position(self) -> int:
        """Bytes of the file read so far, before decompression."""
        if self._raw.closed:
            return self._end
        try:
            return self._raw.tell()
        except OSError:  # a pipe
            return 0

    def close(self) -> None:
        """Close the file."""
        self._end = self.position()
        if self.path != STANDARD_INPUT:
            self._raw.close()

    def pieces(self, size: int = 1 << 20) -> Iterator[bytes]:
        """Yield the rest in pieces of ``size`` bytes, the last one shorter, and close the file."""
        view = memoryview(bytearray(size))
        with contextlib.closing(self):
            while count := self.fill(view):
                yield bytes(view[:count])

    def fill(self, view: memoryview) -> int:
        """Fill ``view``, and return how many bytes it holds: fewer only at the end of the file."""
        filled = 0
        while filled < len(view) and (count := self.readinto(view[filled:])):
            filled += count
        return filled


def _open(path: Path) -> io.BufferedReader:
    if path == STANDARD_INPUT:
        stream = sys.stdin.buffer
        assert isinstance(stream, io.BufferedReader)
        return stream
    return io.BufferedReader(io.FileIO(path), HEAD_BYTES)


def _decompressed(raw: io.BufferedReader, compression: str) -> ReadsInto:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if compression == "bzip2":
        return bz2.BZ2File(raw)
    if compression == "xz":
        return lzma.LZMAFile(raw)
    return ZstdFrames(raw) if compression == "zstd" else raw
