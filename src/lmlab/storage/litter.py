"""Temporary files beside the files that they replace, and what kills leave of them.

A temporary file has a name of its own kind and is locked while its process lives; the kernel
releases the lock when the process ends. So a file of such a name that can be locked is litter.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

_NAME = re.compile(r"\..+\.tmp-[0-9a-f]{12}")
_EARLIER_NAME = re.compile(r"\.(.+)\.[a-z0-9_]{8}")
_UNLOCKABLE_SECONDS = 3600.0  # where files cannot be locked, older ones are litter


def _temporary_path(path: Path) -> Path:
    start = path.name.encode()[:200].decode(errors="ignore")  # names may have 255 bytes
    return path.with_name(f".{start}.tmp-{os.urandom(6).hex()}")


@contextlib.contextmanager
def temporary_file(path: Path, data: bytes | Iterable[bytes]) -> Iterator[Path]:
    """Write ``data`` to a hidden file beside ``path``, which is removed at the end if still there.

    Args:
        path: the file that is to be replaced.
        data: the content, or its pieces.

    Yields:
        The file, whose content is on disk.
    """
    while True:
        temporary = _temporary_path(path)
        with open(temporary, "xb") as file:
            try:
                if not _hold(file.fileno()):
                    continue
                file.writelines([data] if isinstance(data, bytes) else data)
                file.flush()
                os.fsync(file.fileno())
                yield temporary
                return
            finally:
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(parent: Path, kind: str) -> Iterator[Path]:
    """Make a folder that is removed at the end, or by the next process that makes one of its kind.

    Args:
        parent: an existing folder.
        kind: what it is for; part of its name.
    """
    for name in os.listdir(parent):
        if name.startswith(f".{kind}.") and _NAME.fullmatch(name) and (parent / name).is_dir():
            _remove_if_litter(parent / name)
    folder = _temporary_path(parent / kind)
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _hold(descriptor)
        folder.mkdir(exist_ok=True)  # another process may have removed it before it was held
        yield folder
    finally:
        _remove_folder(folder)
        os.close(descriptor)


def remove_litter(*folders: Path, of: Collection[str] = ()) -> None:
    """Remove the temporary files in ``folders`` whose processes have ended, and nothing else.

    Args:
        folders: where they are; a missing one has none.
        of: files whose temporary files of earlier versions are litter too: their names were less
            distinct, so only a process that alone may write those files can tell.
    """
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            for name in os.listdir(folder):
                earlier = _EARLIER_NAME.fullmatch(name)
                is_temporary = _NAME.fullmatch(name) or (earlier and earlier[1] in of)
                if is_temporary and not (folder / name).is_dir():
                    _remove_if_litter(folder / name)


def _hold(descriptor: int) -> bool:
    """Mark a new file as that of a live process; False if another process removed it before."""
    with contextlib.suppress(OSError):  # some network file systems have no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


def _remove_if_litter(path: Path) -> None:
    try:
        # Not blocking: a named pipe would wait for its writer.
        mode = os.O_RDONLY if path.is_dir() else os.O_RDWR
        descriptor = os.open(path, mode | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        found = os.fstat(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:
            if time.time() - found.st_mtime < _UNLOCKABLE_SECONDS:
                return
        if stat.S_ISREG(found.st_mode):
            path.unlink(missing_ok=True)  # while it is locked: its process may be about to hold it
        elif stat.S_ISDIR(found.st_mode):
            _remove_folder(path)
    finally:
        os.close(descriptor)


def _remove_folder(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
