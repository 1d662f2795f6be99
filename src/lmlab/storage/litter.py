"""Temporary files beside the files that they replace, and what kills leave of them.

A temporary file has a name of its own kind and is locked while its process lives; the kernel
releases the lock when the process ends. So a file of such a name that can be locked is litter.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from pathlib import Path

_NAME = re.compile(r"\..+\.tmp-[0-9a-f]{12}")
_UNLOCKABLE_SECONDS = 3600.0  # where files cannot be locked, older ones are litter


def temporary_path(path: Path) -> Path:
    """Return a new hidden name beside ``path``, for its next content."""
    start = path.name.encode()[:200].decode(errors="ignore")  # names may have 255 bytes
    return path.with_name(f".{start}.tmp-{os.urandom(6).hex()}")


def hold(descriptor: int) -> None:
    """Mark an open temporary file as that of a live process."""
    with contextlib.suppress(OSError):  # some network file systems have no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_litter(*folders: Path) -> None:
    """Remove the temporary files in ``folders`` whose processes have ended, and nothing else."""
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            for name in os.listdir(folder):
                if _NAME.fullmatch(name) and _is_litter(folder / name):
                    (folder / name).unlink(missing_ok=True)


def _is_litter(path: Path) -> bool:
    try:
        # Not blocking: a named pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - found.st_mtime > _UNLOCKABLE_SECONDS
    finally:
        os.close(descriptor)
    return True
