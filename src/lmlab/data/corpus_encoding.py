"""Encode a text to a file of ids: with progress, in bounded memory, resumable after a kill.

The pass that encodes the text also hashes it, so that the hash is that of the encoded bytes even if
the text changes meanwhile. Ids are written to ``.<name>.partial``, which is renamed when it is
complete. Meanwhile a thread syncs it to disk, hashes it and, every few seconds, records in a
journal next to it up to which position of the text the ids are on disk, with the hashes of text and
ids up to there. The next call checks these hashes, truncates the partial file to that position and
resumes, so that the result is the same byte for byte. Without kernels for the tokenizer, text is
encoded in Python and from the beginning.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lmlab.console.progress_bar import progress
from lmlab.errors import DataError, DiskError, TextChangedError
from lmlab.records.text import Text
from lmlab.records.text_hash import TextHash
from lmlab.storage.io import fsync_folder, translate_write_errors
from lmlab.storage.ownership import writing
from lmlab.storage.sealed import read_sealed, write_sealed
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.text_parts import TextParts
from lmlab.tokenizer.text_runs import EncodedRuns

if TYPE_CHECKING:
    from lmlab.tokenizer.file_encoding import Position
    from lmlab.tokenizer.kernel_encoder import Tables

_JOURNAL_SECONDS = 10.0
_JOURNAL_VERSION = 3
_CHUNK_BYTES = 1 << 20
_UNKNOWN_SIZE = 1 << 30  # a pipe is worth the kernels


class EncodedText(NamedTuple):
    """What :func:`encode_to` wrote.

    Attributes:
        num_tokens: number of ids.
        num_text_bytes: bytes of text; which special tokens they include depends on the encoder.
        text_hash: hash of the encoded bytes, as that of a :class:`lmlab.data.corpus.Corpus`.
        sha256: hash of the file of ids.
    """

    num_tokens: int
    num_text_bytes: int
    text_hash: str
    sha256: str


def encode_to(
    path: Path,
    text: Text | Sequence[Path],
    tokenizer: Tokenizer,
    text_hash: str | None = None,
    *,
    sidecar: Path | None = None,
) -> EncodedText:
    """Write the ids of a text to ``path``, atomically.

    Args:
        path: the file of ids; no other process may write it at the same time.
        text: what is encoded, or its files.
        tokenizer: encodes it.
        text_hash: the hash that the text had before; None accepts any text.
        sidecar: description of the previous file at ``path``; removed with it.

    Raises:
        TextChangedError: the text does not have ``text_hash``, or changes while it is read.
        DataError: a text cannot be read or is not UTF-8.
        ConfigError: documents need an end of text, and the tokenizer has none.
        DiskError: the disk is full or not writable. In all cases partial files are removed.
    """
    partial = path.with_name(f".{path.name}.partial")
    journal = _Journal(path.with_name(f".{path.name}.journal"), tokenizer)
    text = Text.of(text)
    total = text.size()
    try:
        with translate_write_errors(path):
            tables = tokenizer.encoder.tables(_UNKNOWN_SIZE if text.has_pipe() else total)
            if tables is None:
                journal.remove()
                encoded = _encode_in_python(partial, text, tokenizer, total)
            else:
                encoded = _encode_by_kernels(partial, journal, text, tables, tokenizer, total)
            if text_hash not in (None, encoded.text_hash):
                raise TextChangedError(text.paths)
            with writing(path):
                if sidecar is not None:
                    sidecar.unlink(missing_ok=True)
                os.replace(partial, path)
            fsync_folder(path.parent)
            journal.remove()
    except Exception:  # a kill or an interruption leaves them, to resume from
        with contextlib.suppress(OSError), writing(path):
            partial.unlink(missing_ok=True)
            journal.remove()
        raise
    return encoded


def _encode_by_kernels(
    partial: Path, journal: _Journal, text: Text, tables: Tables, tokenizer: Tokenizer, total: int
) -> EncodedText:
    from lmlab.tokenizer.file_encoding import encode_files

    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if text.has_pipe():  # it begins where it has been read to
            journal.remove()
        start, parts, ids_hash = journal.resume(
            descriptor, lambda: TextParts(text, tokenizer.end_marker, tables.cut)
        )
        os.ftruncate(descriptor, start.num_tokens * tables.id_bytes)
        text_hash = parts.text_hash
        with (
            _bar(partial, total, parts.skipped_bytes) as bar,
            _BackgroundSync(descriptor, journal, text_hash, ids_hash) as sync,
        ):

            def advance(position: Position, size: int) -> None:
                bar.update(size)
                sync.reach(position)

            end = encode_files(
                tables, parts, descriptor, end_id=tokenizer.end_of_text_id, advance=advance,
                start=start,
            )  # fmt: skip
        ids_hash.read_to(descriptor, end.num_tokens * tables.id_bytes)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return EncodedText(end.num_tokens, end.num_text_bytes, text_hash.combined, ids_hash.hexdigest())


class _IdsHash:
    """SHA-256 of the ids in a file, read back as it grows."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0

    def read_to(self, descriptor: int, size: int) -> None:
        """Add the bytes of the file up to ``size``, as far as it has so many."""
        while self._size < size:
            data = os.pread(descriptor, min(_CHUNK_BYTES, size - self._size), self._size)
            if not data:
                return
            self._hash.update(data)
            self._size += len(data)

    def hexdigest(self) -> str:
        """The hash of the bytes so far."""
        return self._hash.hexdigest()


class _Journal:
    """The record of the position in the text up to which ids are safely on disk."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        self.path = path
        self._tokenizer = tokenizer
        self.id_bytes = tokenizer.id_bytes
        self._due = time.monotonic() + _JOURNAL_SECONDS

    @functools.cached_property
    def _job(self) -> dict[str, Any]:
        """What must be equal to resume; hashing a tokenizer takes longer than a short text."""
        return {"format_version": _JOURNAL_VERSION, "tokenizer_hash": self._tokenizer.hash}

    def resume(
        self, ids: int, read: Callable[[], TextParts]
    ) -> tuple[Position, TextParts, _IdsHash]:
        """Return where to resume, the parts of the text from there, and the hash of ids before.

        If in doubt, this is the beginning. Both are read again: the text may have changed since,
        and a partial file may hold other ids.
        """
        from lmlab.tokenizer.file_encoding import Position

        try:
            record = read_sealed(self.path)
            position = Position(**record.pop("place"))
            parts, ids_hash = read(), _IdsHash()
            if parts.skip_to(position.file, position.place):
                ids_hash.read_to(ids, position.num_tokens * self.id_bytes)
                found = {"text": parts.text_hash.prefix(), "ids": ids_hash.hexdigest()}
                if record == self._job | found:
                    return position, parts, ids_hash
            parts.close()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, DataError):
            pass
        self.remove()  # it may belong to another job, which would take these ids for its own
        return Position(), read(), _IdsHash()

    def remove(self) -> None:
        """Remove the journal for good, with temporary files of a killed write."""
        names = (self.path.name, f".{self.path.name}.")
        found = [file for file in self.path.parent.iterdir() if file.name.startswith(names)]
        for stale in found:
            stale.unlink(missing_ok=True)
        if found:
            fsync_folder(self.path.parent)

    def keep(self, position: Position, text_hash: TextHash, ids_hash: _IdsHash) -> None:
        """Record ``position``, before which every id is on disk, if the interval has passed."""
        if time.monotonic() >= self._due:
            hashes = {
                "text": text_hash.take_mark(position.file, position.place),
                "ids": ids_hash.hexdigest(),
            }
            write_sealed(self.path, {**self._job, **hashes, "place": position._asdict()})
            self._due = time.monotonic() + _JOURNAL_SECONDS


class _BackgroundSync:
    """Syncs ids to disk and hashes them in a thread while more are encoded; updates the journal.

    An error in the thread is raised by the next call, or at the end.

    Args:
        descriptor: file descriptor of the ids.
        journal: records positions before which all ids are on disk.
        text_hash: has a mark for each position.
        ids_hash: hash of the ids so far.
    """

    def __init__(
        self, descriptor: int, journal: _Journal, text_hash: TextHash, ids_hash: _IdsHash
    ) -> None:
        self._descriptor, self._journal = descriptor, journal
        self._text_hash, self._ids_hash = text_hash, ids_hash
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
                size = position.num_tokens * self._journal.id_bytes
                self._ids_hash.read_to(self._descriptor, size)
                self._journal.keep(position, self._text_hash, self._ids_hash)
        except (OSError, DiskError) as error:
            self._error = error


def _encode_in_python(partial: Path, text: Text, tokenizer: Tokenizer, total: int) -> EncodedText:
    import numpy as np  # not needed with kernels, which then start faster

    lengths = tokenizer.token_byte_lengths
    num_tokens = num_text_bytes = 0
    text_hash, ids_hash = TextHash(), hashlib.sha256()
    with open(partial, "wb") as file, _bar(partial, total, 0) as bar:
        runs, read = EncodedRuns(text, tokenizer, text_hash), 0
        for chunk, num_ends in runs:
            ids = np.array(chunk, dtype=tokenizer.dtype)
            data = ids.tobytes()
            file.write(data)
            ids_hash.update(data)
            num_tokens += len(ids)
            num_text_bytes += int(lengths[ids[: len(ids) - num_ends]].sum())
            bar.update(runs.disk_bytes - read)
            read = runs.disk_bytes
        file.flush()
        os.fsync(file.fileno())
    return EncodedText(num_tokens, num_text_bytes, text_hash.combined, ids_hash.hexdigest())


def _bar(partial: Path, total: int, done: int) -> Any:
    name = partial.name.removeprefix(".").split(".")[0]
    return progress(total=total, initial=done, desc=f"encoding {name}", unit="B", unit_scale=True)
