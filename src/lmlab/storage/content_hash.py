"""Hashes of the content of files: taken in the pass that reads them, or remembered beside them.

A hash is remembered with the state of its file: device, inode, size, and the times of the last
change of content and of inode. No program can set the last one, so that an edit that keeps size and
modification time, such as ``cp -p``, shows nevertheless.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import Any

from lmlab.errors import DiskError
from lmlab.storage.io import file_state, hash_content, hash_json, is_settled
from lmlab.storage.sealed import read_sealed, write_sealed

Buffer = bytes | bytearray | memoryview


class FilesHash:
    """SHA-256 of each of several files, from their bytes in the order in which they are read."""

    def __init__(self) -> None:
        self.hashes: list[str] = []
        self._current = hashlib.sha256()
        self._prefixes: dict[tuple[int, int], str] = {}

    def update(self, data: Buffer) -> None:
        """Add the next bytes of the current file."""
        self._current.update(data)

    def end_file(self) -> None:
        """End the current file."""
        self.hashes.append(self._current.hexdigest())
        self._current = hashlib.sha256()

    @property
    def combined(self) -> str:
        """The hash of all files that have ended, as :class:`lmlab.data.corpus.Corpus` has it."""
        return hash_json(self.hashes)

    def prefix(self) -> str:
        """Return the hash of everything up to here."""
        return hash_json([*self.hashes, self._current.hexdigest()])

    def mark(self, file: int, offset: int) -> None:
        """Remember the hash of everything up to here as that of a position in the files."""
        self._prefixes[file, offset] = self.prefix()

    def take_mark(self, file: int, offset: int) -> str:
        """Return what :meth:`mark` remembered for a position, and forget earlier positions."""
        for earlier in [place for place in list(self._prefixes) if place < (file, offset)]:
            del self._prefixes[earlier]
        return self._prefixes[file, offset]


def remembered_hash(path: Path) -> str:
    """Return the SHA-256 of a file in a cache folder; read the file once per state of it.

    The hash is kept in ``.<name>.checked`` beside the file, where the disk allows it.
    """
    known = _remembered(path)
    if known is not None:
        return known
    state = file_state(path)
    found = hash_content(path)
    if file_state(path) == state:
        _remember(path, found, state)
    return found


def _place(path: Path) -> Path:
    return path.with_name(f".{path.name}.checked")


def _remembered(path: Path) -> str | None:
    memo = _place(path)
    try:
        written_ns = os.stat(memo).st_mtime_ns
        record: dict[str, Any] = read_sealed(memo)
        state = file_state(path)
        # By the clock of the file system: an edit right after the check could leave the same state.
        if record["state"] == list(state) and is_settled(state, written_ns):
            return str(record["sha256"])
    except (OSError, ValueError, KeyError):
        pass
    return None


def _remember(path: Path, sha256: str, state: tuple[int, ...]) -> None:
    if is_settled(state, time.time_ns()):
        with contextlib.suppress(DiskError, OSError):
            write_sealed(_place(path), {"sha256": sha256, "state": list(state)})
