"""Hashes of the content of files: taken in the pass that reads them, or remembered beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lmlab.storage.file_memo import remembered
from lmlab.storage.io import hash_content, hash_json

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
    memo = path.with_name(f".{path.name}.checked")
    found = remembered(memo, [path], lambda: {"sha256": hash_content(path)})
    return str(found["sha256"])
