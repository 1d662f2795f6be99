"""Entries of a cache: opened if they are intact, otherwise made again.

While the cache folder cannot be written, they are made in a temporary folder.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from lmlab.errors import DataError, DiskError
from lmlab.storage.io import discard
from lmlab.storage.lock import Lock

_Entry = TypeVar("_Entry")

log = logging.getLogger(__name__)


def open_or_make(
    folder: Path,
    open_in: Callable[[Path], _Entry | None],
    make_in: Callable[[Path], _Entry],
    *,
    lock: str,
    files: Sequence[str],
    doing: str,
    num_bytes: int = 0,
) -> _Entry:
    """Open an entry of a cache, or make it. A damaged one is made again, with a warning.

    Of processes that need an entry at the same time, one makes it. If the cache folder cannot be
    written, a temporary folder replaces it until the process ends, and a warning says so.

    Args:
        folder: the folder of the entry in the cache.
        open_in: opens the entry in a folder; returns None if there is none, and raises
            :class:`DataError` if it is damaged.
        make_in: makes the entry in a folder.
        lock: name of the lock file.
        files: names of the files of the entry, which are removed if it is damaged.
        doing: what making it is, for the warning, such as "writing the stories".
        num_bytes: about how much ``make_in`` writes; with less space for temporary files, the
            error of the cache folder stays.

    Raises:
        DiskError: neither folder can be written.
    """
    with contextlib.suppress(DataError):
        entry = open_in(folder)
        if entry is not None:
            return entry

    def make_locked(place: Path) -> _Entry:
        with Lock(place / lock, protects=place):
            try:
                entry = open_in(place)
                if entry is not None:  # another process has just made it
                    return entry
            except DataError as error:
                log.warning("%s; %s again", error.message, doing)
                discard(*(place / name for name in files))
            return make_in(place)

    return _with_fallback(folder, make_locked, num_bytes)


def _with_fallback(folder: Path, make: Callable[[Path], _Entry], num_bytes: int) -> _Entry:
    """Call ``make`` with the folder or, if that cannot be written, with a temporary one."""
    try:
        return make(folder)
    except DiskError as error:
        try:
            base = Path(_temporary_folder().name)
            if shutil.disk_usage(base).free < 2 * num_bytes:
                raise error
            log.warning("%s; using a temporary folder for this process", error.message)
            return make(base / folder.name)
        except (OSError, DiskError):
            raise error from None


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lmlab-cache-", ignore_cleanup_errors=True)
