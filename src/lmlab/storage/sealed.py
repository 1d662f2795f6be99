"""JSON files in caches, with a checksum that also holds for their name.

Damage, a file of another entry under this name, and a file of a version without checksums are all
noticed when the file is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmlab.storage.io import fsync_folder, hash_json, read_json, translate_write_errors, write_json

_SEAL = "checksum"


def write_sealed(path: Path, content: dict[str, Any], place: str | None = None) -> None:
    """Write a JSON object with its checksum, atomically and durably.

    Args:
        path: the file.
        content: plain values.
        place: what the content belongs to; None for the names of the file and its folder.

    Raises:
        DiskError: the disk is full or not writable.
    """
    write_json(path, content | {_SEAL: _checksum(content, path, place)})
    with translate_write_errors(path):
        fsync_folder(path.parent)


def read_sealed(path: Path, place: str | None = None) -> dict[str, Any]:
    """Read what :func:`write_sealed` wrote.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is damaged, belongs to another place, or has no checksum.
    """
    try:
        content = read_json(path)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(content, dict) or _SEAL not in content:
        raise ValueError("no checksum: another file, or one of an earlier version")
    if content.pop(_SEAL) != _checksum(content, path, place):
        raise ValueError("the checksum differs: damaged, or the file of another entry")
    return content


def _checksum(content: dict[str, Any], path: Path, place: str | None) -> str:
    if place is None:
        place = f"{path.parent.name}/{path.name}"
    return hash_json([place, content])
