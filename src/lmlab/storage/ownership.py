"""Folders that this process may write only while it owns their lock; asked before each write."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class OwnedLock(Protocol):
    """A lock that this process has taken and not yet released."""

    def raise_if_lost(self) -> None:
        """Raise :class:`lmlab.errors.LostLockError` if the lock belongs to another process now."""
        ...

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Raise the same, or let no other process take the lock inside."""
        ...


_locks: dict[str, OwnedLock] = {}  # by the real path of what they protect


def protect(path: Path, lock: OwnedLock) -> None:
    """Allow writes to ``path``, and to everything below it, only while ``lock`` is owned."""
    _locks[os.path.realpath(path)] = lock


def unprotect(path: Path, lock: OwnedLock) -> None:
    """End what :func:`protect` began; do nothing if a later lock protects ``path``."""
    real = os.path.realpath(path)
    if _locks.get(real) is lock:
        del _locks[real]


def check_ownership(path: Path) -> None:
    """Check that no other process has taken what this process writes.

    Another process takes the lock of a process that shows no sign of life, for example because it
    was stopped or its machine was suspended. When it wakes up, it must not write.

    Args:
        path: the file or folder to write.

    Raises:
        LostLockError: a lock of this process protects ``path``, and belongs to another process.
    """
    for lock in _locks_of(path):
        lock.raise_if_lost()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Check as :func:`check_ownership` does, and let no process take the lock inside.

    So a process that is stopped between the check and the write still owns what it writes. Where
    the file system has no ``flock``, only the check remains. Keep the inside short: a process that
    wants the lock waits for it.

    Args:
        path: the file or folder to write.

    Raises:
        LostLockError: as :func:`check_ownership`.
    """
    with contextlib.ExitStack() as held:
        for lock in _locks_of(path):
            held.enter_context(lock.held())
        yield


def _locks_of(path: Path) -> list[OwnedLock]:
    """Return the locks of this process that protect ``path``."""
    if not _locks:
        return []
    real = os.path.realpath(path)
    found = []
    for protected, lock in list(_locks.items()):
        if real == protected or real.startswith(protected + os.sep):
            found.append(lock)
    return found
