"""JSON files with a checksum, which also holds for their name.

Damage, a file of another entry under this name, and a file of a version without checksums are all
noticed when the file is read.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmlab.errors import DiskError
from lmlab.storage.io import (
    atomic_write_text,
    discard,
    fsync_folder,
    hash_json,
    make_folder,
    read_json,
    translate_write_errors,
)
from lmlab.storage.json_text import dump_json, load_json
from lmlab.storage.litter import remove_litter, temporary_file

SEAL = "checksum"  # the key of the checksum

log = logging.getLogger(__name__)


def write_sealed(path: Path, content: dict[str, Any], place: str | None = None) -> None:
    """Write a JSON object with its checksum, atomically and durably.

    Args:
        path: the file.
        content: plain values.
        place: what the content belongs to; None for the names of the file and its folder.

    Raises:
        DiskError: the disk is full or not writable.
    """
    atomic_write_text(path, _sealed_text(content, path, place))
    with translate_write_errors(path):
        fsync_folder(path.parent)


def read_sealed(path: Path, place: str | None = None) -> dict[str, Any]:
    """Read what :func:`write_sealed` wrote.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is damaged, belongs to another place, or has no checksum.
    """
    content = read_json(path)
    if not isinstance(content, dict) or SEAL not in content:
        raise ValueError("no checksum: another file, or one of an earlier version")
    return unseal(content, _place_of(path) if place is None else place)


def unseal(content: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the content of a sealed file, as read, without its checksum.

    Raises:
        ValueError: it is damaged, or belongs to another place.
    """
    rest = {key: value for key, value in content.items() if key != SEAL}
    if content[SEAL] != _checksum(rest, place):
        raise ValueError("the checksum differs: damaged, or the file of another entry")
    return rest


def read_or_discard(path: Path) -> dict[str, Any] | None:
    """Read a sealed file of a cache; None if there is none. Remove a damaged one with a warning."""
    try:
        return read_sealed(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: cannot be read: %s; made again", path, error)
    with contextlib.suppress(DiskError):
        discard(path)
    return None


def get_or_create(
    path: Path, make: Callable[[], dict[str, Any]], keys: frozenset[str]
) -> dict[str, Any]:
    """Return the object stored in ``path``, or call ``make`` and store its object there.

    A damaged file counts as missing. If several processes do this at the same time, all return the
    object that was stored first. Where the disk allows no file, the object is not stored, with a
    warning.

    Args:
        path: the file.
        make: called if there is no such file.
        keys: those of the object; an earlier version stored it with these and without a checksum.
    """
    value = read_stored(path, keys)
    if value is not None:
        return value
    value = make()
    try:
        make_folder(path.parent)
        remove_litter(path.parent)
        with temporary_file(path, _sealed_text(value, path, None).encode("utf-8")) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass
            except OSError:  # no hard links here
                os.replace(temporary, path)
        fsync_folder(path.parent)
        return read_sealed(path)
    except (DiskError, OSError, ValueError) as error:
        log.warning("%s: cannot be stored: %s", path, getattr(error, "message", error))
        return value


def read_stored(path: Path, keys: frozenset[str]) -> dict[str, Any] | None:
    """Return the object stored in ``path``; None if there is none. See :func:`get_or_create`."""
    with contextlib.suppress(OSError, ValueError):
        content = read_json(path)
        if isinstance(content, dict) and set(content) == keys:
            return content
    return read_or_discard(path)


def _sealed_text(content: dict[str, Any], path: Path, place: str | None) -> str:
    as_read = load_json(dump_json(content))  # its keys are texts
    checksum = _checksum(as_read, _place_of(path) if place is None else place)
    return dump_json(content | {SEAL: checksum}, indent=2) + "\n"


def _place_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _checksum(content: dict[str, Any], place: str) -> str:
    return hash_json([place, content])
