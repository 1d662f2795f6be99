"""Files in this user's cache folder: made once on a machine, checked when they are read.

A file is the length of a JSON header, a checksum of the rest, the header and its data.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from lmlab.io import atomic_write_bytes

_HEAD = 8 + 32


def folder(name: str) -> Path:
    """Where this user's files of one kind are kept."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "lmlab" / name


def keep(path: Path, header: Any, data: bytes) -> None:
    """Write a file, whole or not at all. Raises :class:`lmlab.errors.DiskError`."""
    text = json.dumps(header).encode("utf-8")
    rest = text + data
    head = len(text).to_bytes(8, "little") + hashlib.sha256(rest).digest()
    atomic_write_bytes(path, head + rest)


def read(path: Path) -> tuple[Any, bytes] | None:
    """The header and data of a file; None where there is none, or it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    rest = content[_HEAD:]
    if hashlib.sha256(rest).digest() != content[8:_HEAD]:
        return None
    length = int.from_bytes(content[:8], "little")
    return json.loads(rest[:length]), rest[length:]
