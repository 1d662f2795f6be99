"""Text files to a file of ids: with progress, in bounded memory, and resumable after a kill.

Ids are written to ``.<name>.partial``, which is renamed when it is whole. A thread brings them to
the disk meanwhile, and every few seconds a journal beside it says up to which place of the text
they are there; the next call cuts the partial file at that place and goes on, so that the result is
the same byte for byte. Where there are no kernels for the tokenizer, the text is encoded in Python
and from its beginning.
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
    from lmlab.tokenizer.file_encoding import Place
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
    """Write the ids of the text of ``paths`` to ``path``, whole or not at all.

    Args:
        path: of the file of ids; no other process writes it at the same time.
        paths: UTF-8 text files.
        tokenizer: encodes them.
        text_hash: of the text, to know it again after a kill.
        sidecar: describes what stood at ``path`` before; removed with it.

    Returns:
        How many ids, and how many bytes of text they stand for, special tokens not counted.

    Raises:
        DataError: a text is not UTF-8.
        DiskError: the disk is full or not writable. In both cases nothing half-written is left.
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
    except Exception:  # a kill or an interruption leaves them, to go on from
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
            journal.remove()
        raise
    return counts


def _encode_by_kernels(
    partial: Path, journal: _Journal, paths: Sequence[Path], tables: Tables, total: int
) -> tuple[int, int]:
    from lmlab.tokenizer.file_encoding import Place, encode_files

    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        start = journal.read(os.fstat(descriptor).st_size)
        if start == Place():
            journal.remove()  # it may be another job's, which would take these ids for its own
        os.ftruncate(descriptor, start.num_tokens * tables.id_bytes)
        done = start.offset + sum(text.stat().st_size for text in paths[: start.file])
        with _bar(partial, total, done) as bar, _Behind(descriptor, journal) as behind:

            def advance(place: Place, size: int) -> None:
                bar.update(size)
                behind.reach(place)

            end = encode_files(tables, paths, descriptor, start=start, advance=advance)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return end.num_tokens, end.num_text_bytes


class _Journal:
    """Up to which place of the text the partial file is safely written."""

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
        """What must be the same to go on; hashing a tokenizer takes longer than a short text."""
        return {
            "format_version": _JOURNAL_VERSION,
            "tokenizer_hash": self._tokenizer.hash,
            **self._text,
        }

    def read(self, size: int) -> Place:
        """Where to go on with a partial file of ``size`` bytes: at the beginning if in doubt."""
        from lmlab.tokenizer.file_encoding import Place

        try:
            record = read_json(self.path)
            place = Place(**record.pop("place"))
            known = record == self._job and place.num_tokens * self._id_bytes <= size
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Place()
        return place if known else Place()

    def remove(self) -> None:
        """Remove the journal for good, and what a kill left while it was being written."""
        names = (self.path.name, f".{self.path.name}.")
        found = [file for file in self.path.parent.iterdir() if file.name.startswith(names)]
        for stale in found:
            stale.unlink(missing_ok=True)
        if found:
            fsync_folder(self.path.parent)

    def keep(self, place: Place) -> None:
        """Record ``place``, before which every id is on the disk, if that is due."""
        if time.monotonic() >= self._due:
            write_json(self.path, {**self._job, "place": place._asdict()})
            self._due = time.monotonic() + _JOURNAL_SECONDS


class _Behind:
    """Brings ids to the disk while more are made, in a thread, and has the journal say how many.

    What fails there is raised by the next call, or at the end.

    Args:
        descriptor: of the file of ids.
        journal: told of places whose ids are safe.
    """

    def __init__(self, descriptor: int, journal: _Journal) -> None:
        self._descriptor, self._journal = descriptor, journal
        self._changed = threading.Condition()
        self._place: Place | None = None
        self._ended = False
        self._error: OSError | DiskError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def reach(self, place: Place) -> None:
        """Every id before ``place`` has been written."""
        self._check()
        with self._changed:
            self._place = place
            self._changed.notify()

    def __enter__(self) -> _Behind:
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

    def _next(self) -> Place | None:
        """The place reached since the last call, once there is one; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._place is not None or self._ended)
            place, self._place = self._place, None
            return None if self._ended else place

    def _work(self) -> None:
        try:
            while (place := self._next()) is not None:
                os.fsync(self._descriptor)
                self._journal.keep(place)
        except (OSError, DiskError) as error:
            self._error = error


def _encode_in_python(
    partial: Path, paths: Sequence[Path], tokenizer: Tokenizer, total: int
) -> tuple[int, int]:
    import numpy as np  # kernels do without, and start sooner

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
