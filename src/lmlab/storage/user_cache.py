"""Files in this user's cache folder: made once on a machine, checked when they are read.

Nothing depends on them but time: where there is no such folder, or none that can be written, what
they hold is made again. A file is a checksum of the rest, the length of a JSON header, the header
and its data.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from lmlab.errors import DiskError
from lmlab.storage.io import atomic_write_bytes

_DIGEST, _LENGTH = 32, 8


def folder(kind: str) -> Path | None:
    """Where this user's files of one kind are kept; None for a user without a home."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(named) if named else Path.home() / ".cache"
    except RuntimeError:
        return None
    return base / "lmlab" / kind


def keep(kind: str, name: str, header: Any, data: bytes, most: int | None = None) -> None:
    """Write a file, whole or not at all.

    Args:
        kind: of the file.
        name: of the file.
        header: what JSON can say.
        data: follows it.
        most: how many files of this kind are kept, the newest; None for all.

    Raises:
        DiskError: it cannot be written.
    """
    place = folder(kind)
    if place is None:
        raise DiskError("this user has no home folder: set XDG_CACHE_HOME to a folder of yours")
    text = json.dumps(header).encode("utf-8")
    rest = len(text).to_bytes(_LENGTH, "little") + text + data
    try:
        atomic_write_bytes(place / name, hashlib.sha256(rest).digest() + rest)
        if most is not None:
            same = place.glob(f"*{Path(name).suffix}")
            for old in sorted(same, key=lambda file: file.stat().st_mtime)[:-most]:
                old.unlink(missing_ok=True)
    except (DiskError, OSError) as error:
        raise DiskError(
            f"{place} cannot be written ({error.__cause__ or error}): set XDG_CACHE_HOME to a "
            "folder that can"
        ) from error


def read(kind: str, name: str) -> tuple[Any, bytes] | None:
    """The header and data of a file; None where there is none, or it is damaged."""
    place = folder(kind)
    if place is None:
        return None
    try:
        content = (place / name).read_bytes()
    except OSError:
        return None
    rest = content[_DIGEST:]
    if hashlib.sha256(rest).digest() != content[:_DIGEST] or not rest:
        return None
    end = _LENGTH + int.from_bytes(rest[:_LENGTH], "little")
    return json.loads(rest[_LENGTH:end]), rest[end:]


def holds(kind: str, name: str) -> bool:
    """Whether there is such a file."""
    place = folder(kind)
    return place is not None and os.path.isfile(place / name)  # False too where it may not look
