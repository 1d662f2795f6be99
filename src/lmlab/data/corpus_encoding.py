"""Encode text files to a file of ids: with progress, in bounded memory, resumable after a kill.

Ids are written to ``.<name>.partial``, which is renamed when it is complete. Meanwhile a thread
syncs it to disk and, every few seconds, records in a journal next to it up to which position of the
text the ids are on disk. The next call truncates the partial file to that position and resumes, so
that the result is the same byte for byte. Without kernels for the tokenizer, text is encoded in
Python and from the beginning.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmlab.console.progress_bar import progress
from lmlab.errors import DiskError
from lmlab.storage.io import fsync_folder, read_json, translate_write_errors, write_json
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.utf8 import read_utf8

if TYPE_CHECKING:
    from lmlab.tokenizer.file_encoding import Position
    from lmlab.tokenizer.kernel_encoder import Tables

_JOURNAL_SECONDS = 10.0
_JOURNAL_VERSION = 1


def encode_to(
    path: Path,
    paths: Sequence[Path],
    tokenizer: Tokenizer,
    text_hash: str,
    *,
    sidecar: Path | None = None,
) -> tuple[int, int]:
    """Write the ids of the text of ``paths`` to ``path``, atomically.

    Args:
        path: the file of ids; no other process may write it at the same time.
        paths: UTF-8 text files.
        tokenizer: encodes them.
        text_hash: identifies the text after a kill.
        sidecar: description of the previous file at ``path``; removed with it.

    Returns:
        The number of ids, and the bytes of text; which special tokens the latter includes depends
        on the encoder.

    Raises:
        DataError: a text is not UTF-8.
        DiskError: the disk is full or not writable. In both cases partial files are removed.
    """
    partial = path.with_name(f".{path.name}.partial")
    journal = _Journal(path.with_name(f".{path.name}.journal"), paths, tokenizer, text_hash)
    total = sum(text.stat().st_size for text in paths)
    try:
        with translate_write_errors(path):
            tables = tokenizer.encoder.tables(total)
            if tables is None:
                journal.remove()
                counts = _encode_in_python(partial, paths, tokenizer, total)
            else:
                counts = _encode_by_kernels(partial, journal, paths, tables, total)
            if sidecar is not None:
                sidecar.unlink(missing_ok=True)
            os.replace(partial, path)
            journal.remove()
    except Exception:  # a kill or an interruption leaves them, to resume from
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
            journal.remove()
        raise
    return counts


def _encode_by_kernels(
    partial: Path, journal: _Journal, paths: Sequence[Path], tables: Tables, total: int
) -> tuple[int, int]:
    from lmlab.tokenizer.file_encoding import Position, encode_files

    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        start = journal.read(os.fstat(descriptor).st_size)
        if start == Position():
            journal.remove()  # it may belong to another job, which would take these ids for its own
        os.ftruncate(descriptor, start.num_tokens * tables.id_bytes)
        done = start.offset + sum(text.stat().st_size for text in paths[: start.file])
        with _bar(partial, total, done) as bar, _BackgroundSync(descriptor, journal) as sync:

            def advance(position: Position, size: int) -> None:
                bar.update(size)
                sync.reach(position)

            end = encode_files(tables, paths, descriptor, start=start, advance=advance)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return end.num_tokens, end.num_text_bytes


class _Journal:
    """The record of the position in the text up to which ids are safely on disk."""

    def __init__(
        self, path: Path, paths: Sequence[Path], tokenizer: Tokenizer, text_hash: str
    ) -> None:
        self.path = path
        self._tokenizer = tokenizer
        self._text = {
            "text_hash": text_hash,
            "sizes": [text.stat().st_size for text in paths],
        }
        self._id_bytes = tokenizer.id_bytes
        self._due = time.monotonic() + _JOURNAL_SECONDS

    @functools.cached_property
    def _job(self) -> dict[str, Any]:
        """What must be equal to resume; hashing a tokenizer takes longer than a short text."""
        return {
            "format_version": _JOURNAL_VERSION,
            "tokenizer_hash": self._tokenizer.hash,
            **self._text,
        }

    def read(self, size: int) -> Position:
        """Where to resume with a partial file of ``size`` bytes; the beginning if in doubt."""
        from lmlab.tokenizer.file_encoding import Position

        try:
            record = read_json(self.path)
            position = Position(**record.pop("place"))
            is_valid = record == self._job and position.num_tokens * self._id_bytes <= size
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Position()
        return position if is_valid else Position()

    def remove(self) -> None:
        """Remove the journal for good, with temporary files of a killed write."""
        names = (self.path.name, f".{self.path.name}.")
        found = [file for file in self.path.parent.iterdir() if file.name.startswith(names)]
        for stale in found:
            stale.unlink(missing_ok=True)
        if found:
            fsync_folder(self.path.parent)

    def keep(self, position: Position) -> None:
        """Record ``position``, before which every id is on disk, if the interval has passed."""
        if time.monotonic() >= self._due:
            write_json(self.path, {**self._job, "place": position._asdict()})
            self._due = time.monotonic() + _JOURNAL_SECONDS


class _BackgroundSync:
    """Syncs ids to disk in a thread while more are encoded, and updates the journal.

    An error in the thread is raised by the next call, or at the end.

    Args:
        descriptor: file descriptor of the ids.
        journal: records positions before which all ids are on disk.
    """

    def __init__(self, descriptor: int, journal: _Journal) -> None:
        self._descriptor, self._journal = descriptor, journal
        self._changed = threading.Condition()
        self._position: Position | None = None
        self._ended = False
        self._error: OSError | DiskError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def reach(self, position: Position) -> None:
        """Report that every id before ``position`` has been written."""
        self._check()
        with self._changed:
            self._position = position
            self._changed.notify()

    def __enter__(self) -> _BackgroundSync:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()
        if kind is None:
            self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _next(self) -> Position | None:
        """Wait for the position reached since the last call; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._position is not None or self._ended)
            position, self._position = self._position, None
            return None if self._ended else position

    def _work(self) -> None:
        try:
            while (position := self._next()) is not None:
                os.fsync(self._descriptor)
                self._journal.keep(position)
        except (OSError, DiskError) as error:
            self._error = error


def _encode_in_python(
    partial: Path, paths: Sequence[Path], tokenizer: Tokenizer, total: int
) -> tuple[int, int]:
    import numpy as np  # not needed with kernels, which then start faster

    lengths = tokenizer.token_byte_lengths
    num_tokens = num_text_bytes = 0
    with open(partial, "wb") as file, _bar(partial, total, 0) as bar:
        for text in paths:
            for chunk in tokenizer.encode_chunks(read_utf8(text)):
                ids = np.array(chunk, dtype=tokenizer.dtype)
                file.write(ids.tobytes())
                num_bytes = int(lengths[ids].sum())
                num_tokens += len(ids)
                num_text_bytes += num_bytes
                bar.update(num_bytes)
        file.flush()
        os.fsync(file.fileno())
    return num_tokens, num_text_bytes


def _bar(partial: Path, total: int, done: int) -> Any:
    name = partial.name.removeprefix(".").split(".")[0]
    return progress(total=total, initial=done, desc=f"encoding {name}", unit="B", unit_scale=True)
