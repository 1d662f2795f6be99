"""Files in the user's cache folder, verified when they are read.

They save time only: without a writable cache folder, their content is computed again. A file
consists of a checksum of its name and the rest, the length of a JSON header, the header and the
data.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from lmlab.errors import DiskError
from lmlab.storage.io import atomic_write_bytes, fsync_folder
from lmlab.storage.json_text import dump_json, load_json

_DIGEST, _LENGTH = 32, 8


def folder(kind: str) -> Path | None:
    """Return the cache folder of one kind of files; None for a user without a home folder."""
    cache_home = os.environ.get("XDG_CACHE_HOME")
    try:
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(cache_home) if cache_home else Path.home() / ".cache"
    except RuntimeError:
        return None
    return base / "lmlab" / kind


def write(kind: str, name: str, header: Any, data: bytes, max_files: int | None = None) -> None:
    """Write a file atomically.

    Args:
        kind: kind of the file, which names its folder.
        name: name of the file.
        header: a JSON value.
        data: content after the header.
        max_files: number of files of this kind to keep, the newest; None for all.

    Raises:
        DiskError: the file cannot be written.
    """
    path = folder(kind)
    if path is None:
        raise DiskError("this user has no home folder", "set XDG_CACHE_HOME to a writable folder")
    text = dump_json(header).encode("utf-8")
    rest = len(text).to_bytes(_LENGTH, "little") + text + data
    try:
        atomic_write_bytes(path / name, _checksum(kind, name, rest) + rest)
        fsync_folder(path)
        if max_files is not None:
            files = path.glob(f"*{Path(name).suffix}")
            for old in sorted(files, key=lambda file: file.stat().st_mtime)[:-max_files]:
                old.unlink(missing_ok=True)
    except (DiskError, OSError) as error:
        raise DiskError(
            f"{path} cannot be written ({error.__cause__ or error})",
            "set XDG_CACHE_HOME to a writable folder",
        ) from error


def read(kind: str, name: str) -> tuple[Any, bytes] | None:
    """Return header and data of a file; None if it is missing, or damaged, which is logged."""
    path = folder(kind)
    if path is None:
        return None
    try:
        content = (path / name).read_bytes()
    except OSError:
        return None
    rest = content[_DIGEST:]
    if _checksum(kind, name, rest) != content[:_DIGEST] or not rest:
        import logging  # only damage needs it

        message = "%s: damaged, or the file of another entry; made again"
        logging.getLogger(__name__).warning(message, path / name)
        return None
    end = _LENGTH + int.from_bytes(rest[:_LENGTH], "little")
    return load_json(rest[_LENGTH:end]), rest[end:]


def _checksum(kind: str, name: str, rest: bytes) -> bytes:
    return hashlib.sha256(f"{kind}/{name}\0".encode() + rest).digest()


def exists(kind: str, name: str) -> bool:
    """Return whether there is such a file; False if its folder is not readable."""
    path = folder(kind)
    return path is not None and os.path.isfile(path / name)
