"""Files that survive a crash: atomic writes, JSON lines, and content hashes."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lmlab.errors import DataError, DiskError
from lmlab.storage.json_text import dump_json, load_json
from lmlab.storage.litter import temporary_file
from lmlab.storage.ownership import writing

_TICK_NS = 2_000_000_000
_ELSEWHERE = "choose another folder (for runs: output_root)"
# What is wrong, and the fix.
_DISK_ERRORS = {
    errno.ENOSPC: (
        "the disk is full",
        "free some space (python -m lmlab.outputs prune) and rerun",
    ),
    errno.EDQUOT: ("your disk quota is exhausted", "free some space and rerun"),
    errno.EFBIG: (
        "the file would exceed the limit on file sizes",
        "raise it (ulimit -f unlimited) and rerun",
    ),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE),
    errno.EACCES: ("permission denied", f"{_ELSEWHERE}, or change the permissions"),
    errno.EPERM: ("permission denied", f"{_ELSEWHERE}, or change the permissions"),
    # As mkdir reports for a file system like /proc although all parents exist.
    errno.ENOENT: ("nothing can be created there, or it was just removed", _ELSEWHERE),
    errno.ELOOP: ("its symbolic links form a loop", _ELSEWHERE),
    errno.EISDIR: ("expected a file, found a folder", "choose another name"),
    errno.ENOTDIR: ("a parent of this path is a file, not a folder", _ELSEWHERE),
    errno.EEXIST: ("expected a folder, found a file", _ELSEWHERE),
    errno.ENAMETOOLONG: (
        "the name is too long",
        f"{_ELSEWHERE}, or a shorter name of study or arm",
    ),
}


def disk_error(error: OSError, path: Path) -> DiskError | None:
    """Translate an operating-system error; None if it is not about the disk or the path."""
    known = _DISK_ERRORS.get(error.errno or 0)
    return DiskError(f"cannot write {path}: {known[0]}", known[1]) if known else None


@contextlib.contextmanager
def translate_write_errors(path: Path) -> Iterator[None]:
    """Turn disk errors raised inside into a :class:`DiskError` that names ``path`` and the fix."""
    try:
        yield
    except OSError as error:
        translated = disk_error(error, path)
        if translated is None:
            raise
        raise translated from error


@contextlib.contextmanager
def translate_read_errors(named: Path | str) -> Iterator[None]:
    """Turn system errors raised inside into a :class:`DataError` that begins with ``named``."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{named} cannot be read: {error.strerror or error}") from error


def make_folder(path: Path) -> Path:
    """Create the folder ``path`` with its parents. Raises :class:`DiskError`."""
    with translate_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def check_creatable(path: Path) -> None:
    """Check, without creating it, that a folder exists or can be created.

    Raises:
        DiskError: see :func:`make_folder`.
    """
    with translate_write_errors(path):
        existing = next(parent for parent in (path, *path.parents) if parent.exists())
        # One that exists may be read-only: its runs may be complete.
        can_create = existing == path or os.access(existing, os.W_OK | os.X_OK)
        if not existing.is_dir() or not can_create:
            make_folder(path)  # raises the error that names the path


def match_mode(*files: Path) -> None:
    """Give new files the permissions that the umask gave to their new folder.

    safetensors writes files that only their owner can read, whatever the umask is.
    """
    for file in files:
        file.chmod(file.parent.stat().st_mode & 0o666)


def discard(*paths: Path) -> None:
    """Remove damaged files of a cache, and whatever else has their names. Raises DiskError."""
    for path in paths:
        with translate_write_errors(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def fsync_folder(path: Path) -> None:
    """Make renames inside ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write_bytes(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Replace the content of ``path`` atomically: readers see the old file or the new one.

    Args:
        path: the file; its folder is made if it is missing.
        data: the content, or its pieces.

    Raises:
        DiskError: the disk is full or the folder is not writable; the old file is unharmed.
        LostLockError: another process has taken over the folder.
    """
    path = Path(path)
    make_folder(path.parent)
    with translate_write_errors(path), temporary_file(path, data) as temporary, writing(path):
        os.replace(temporary, path)


def atomic_write_text(path: Path, text: str) -> None:
    """Replace the content of ``path`` by ``text`` in UTF-8; see :func:`atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace the content of ``path`` by indented JSON; see :func:`atomic_write_bytes`.

    Numbers that are not finite are written as :mod:`lmlab.storage.json_text` describes.
    """
    atomic_write_text(path, dump_json(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises FileNotFoundError or json.JSONDecodeError."""
    return load_json(Path(path).read_text("utf-8"))


def append_jsonl(path: Path, row: dict[str, Any]) -> None:
    """Append ``row`` to a JSON Lines file and flush it to the operating system.

    Each row is one write, so a killed process leaves at most one partial last line.
    :func:`read_jsonl` skips such a line, and the next append terminates it.
    """
    with translate_write_errors(path), open(path, "ab") as file:
        line = dump_json(row).encode("utf-8") + b"\n"
        start = file.tell()
        if start and not _ends_with_newline(path, start):
            line = b"\n" + line
        with writing(path):
            file.write(line)
            file.flush()


def _ends_with_newline(path: Path, size: int) -> bool:
    with open(path, "rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a JSON Lines file; skip partial lines and a missing file.

    Raises:
        DataError: the file cannot be read, for example without permission.
    """
    return scan_jsonl(path)[0]


def scan_jsonl(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Read the rows of a JSON Lines file, and count the complete lines that are not rows.

    A last line without its end is being written, or was when its process was killed. It is skipped
    and does not count.
    """
    path = Path(path)
    if not path.exists():
        return [], 0
    with translate_read_errors(path):
        *lines, last = path.read_bytes().split(b"\n")
    rows = [_row(line) for line in lines if line.strip()]
    num_damaged = rows.count(None)
    return [row for row in [*rows, _row(last)] if row is not None], num_damaged


def has_partial_line(path: Path) -> bool:
    """Return whether the last line of a JSON Lines file has no end and is no row."""
    if not Path(path).exists():
        return False
    with translate_read_errors(path):
        last = Path(path).read_bytes().rpartition(b"\n")[2]
    return bool(last.strip()) and _row(last) is None


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = load_json(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def file_state(path: Path) -> tuple[int, ...]:
    """Return what changes with a file's content: device, inode, size, mtime and ctime in ns."""
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def is_settled(state: tuple[int, ...], now_ns: int) -> bool:
    """Return whether a change of the file from now on gives it another state.

    File systems keep times in ticks of up to two seconds, so that a file that has just changed may
    change again without another time.
    """
    return now_ns - state[-1] > _TICK_NS


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex, remembered until the file's state changes."""
    state = file_state(path)
    if not is_settled(state, time.time_ns()):
        return hash_content(path)
    return _hash_file(str(path), state)


@functools.lru_cache(maxsize=256)
def _hash_file(path: str, state: tuple[int, ...]) -> str:
    del state  # part of the cache key only
    return hash_content(Path(path))


def hash_content(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """Return the SHA-256 in hex of ``value`` as canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
