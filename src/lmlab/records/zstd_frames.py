"""Decompression of zstd, straight into the buffer of whoever reads."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import zstandard

_PIECE = 1 << 17  # compressed bytes at a time
_LARGEST_WINDOW = 1 << 31  # zstd refuses 2^28 and more unless it is told (--long=31)
_MAGIC = b"\x28\xb5\x2f\xfd"
_CHECKSUM_BYTES = 4
_RUN_OF_ONE_BYTE = 1  # a type of blocks


class ZstdFrames:
    """All frames of a zstd file.

    ``stream_reader`` of zstandard ends a file that is cut off without an error (0.25.0, tried
    2026-11-30), so the ends of frames are followed here too.

    Args:
        raw: the compressed bytes.
    """

    def __init__(self, raw: io.BufferedReader) -> None:
        source: Any = FrameEnds(raw)
        self._ends: FrameEnds = source
        context = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        self._reader = context.stream_reader(
            source, read_size=_PIECE, read_across_frames=True, closefd=False
        )

    def readinto(self, view: Any, /) -> int:
        """Fill ``view``: with fewer bytes only at the end, where there are 0.

        Raises:
            EOFError: the file is cut off.
            zstandard.ZstdError: it is damaged.
        """
        count: int = self._reader.readinto(view)
        if count == 0 and len(view) and not self._ends.is_between:
            raise EOFError("the last zstd frame is cut off")
        return count


class FrameEnds:
    """Compressed bytes, and whether the last one read ends a frame (RFC 8878, section 3.1).

    Args:
        raw: the compressed bytes.
    """

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw
        self._skip = 0  # bytes before the next field
        self._field, self._field_bytes = b"", len(_MAGIC)
        self._read_field: Callable[[bytes], None] = self._read_magic
        self._end_bytes = 0  # after the last block of a frame

    @property
    def is_between(self) -> bool:
        """Whether a frame has ended, and no other has begun."""
        is_at_magic = self._read_field == self._read_magic
        return is_at_magic and self._skip == 0 and not self._field

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        data = self._raw.read1(size)
        position = 0
        while position < len(data):
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
            else:
                step = min(self._field_bytes - len(self._field), len(data) - position)
                self._field += data[position : position + step]
                if len(self._field) == self._field_bytes:
                    field, self._field = self._field, b""
                    self._read_field(field)
            position += step
        return data

    def _expect(self, num_bytes: int, read: Callable[[bytes], None], *, skip: int = 0) -> None:
        self._field_bytes, self._read_field, self._skip = num_bytes, read, skip

    def _read_magic(self, field: bytes) -> None:
        # After anything that is neither kind of frame, zstandard raises an error.
        self._expect(*((1, self._read_header) if field == _MAGIC else (4, self._read_size)))

    def _read_size(self, field: bytes) -> None:
        """The size of a skippable frame."""
        size = int.from_bytes(field, "little")
        self._expect(len(_MAGIC), self._read_magic, skip=size)

    def _read_header(self, field: bytes) -> None:
        """The first byte of a frame's header, which tells the size of the rest."""
        flags = field[0]
        is_single = flags >> 5 & 1
        window, dictionary = 1 - is_single, (0, 1, 2, 4)[flags & 3]
        content_size = (is_single, 2, 4, 8)[flags >> 6]
        self._end_bytes = _CHECKSUM_BYTES * (flags >> 2 & 1)
        self._expect(3, self._read_block, skip=window + dictionary + content_size)

    def _read_block(self, field: bytes) -> None:
        header = int.from_bytes(field, "little")
        size = 1 if header >> 1 & 3 == _RUN_OF_ONE_BYTE else header >> 3
        if header & 1:  # the last one
            self._expect(len(_MAGIC), self._read_magic, skip=size + self._end_bytes)
        else:
            self._expect(3, self._read_block, skip=size)
