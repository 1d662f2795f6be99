"""A lock file with a heartbeat, so that the lock of a dead process can be taken over."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import logging
import os
import shlex
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from lmlab.errors import DiskError, LockedError, LostLockError
from lmlab.storage.io import make_folder, translate_write_errors
from lmlab.storage.json_text import dump_json
from lmlab.storage.lock_file import LockFile, Owner
from lmlab.storage.ownership import protect, unprotect

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
PATIENCE_SECONDS = 2.0  # the longest wait without a word
_GUARD_SECONDS = 10.0  # the guard is held for milliseconds, unless its process is stopped
_REMINDER_SECONDS = 60.0
_POLL_SECONDS = 0.1
_READS = 10  # before a lock file that cannot be read counts as gone


class Lock:
    """An exclusive lock between processes, on one host or over a shared file system.

    The lock file names its owner, which renews the modification time every five seconds. An owner
    whose process id is valid here (same boot, same name space of process ids) is dead when its
    process has exited; any other owner, when its heartbeat is a minute old. The lock of a dead
    owner is taken over. An owner that was stopped or suspended for that long, and lives on, finds
    out by :func:`lmlab.storage.ownership.writing` before it writes.

    Args:
        path: the lock file.
        wait: wait until the owner releases the lock; False raises at once.
        protects: file or folder that this process writes only while it owns the lock.

    Raises:
        LockedError: a live process owns the lock and ``wait`` is False.
        DiskError: the folder is not writable, or a folder is in the place of the lock file.
    """

    def __init__(self, path: Path, wait: bool = True, protects: Path | None = None) -> None:
        self.path = Path(path)
        self.wait, self.protects = wait, protects
        self._token = uuid.uuid4().hex
        self._released = threading.Event()
        self._guard_seconds = _GUARD_SECONDS  # that a write waits for the guard
        self._ahead: tuple[LockFile, float] | None = None  # as first seen, and when

    def __enter__(self) -> Lock:
        make_folder(self.path.parent)
        started = reminded = time.monotonic()
        while (found := self._take()) is not None:
            is_ahead = self._ahead is not None
            if not self.wait and not is_ahead:
                raise self._locked_error(found)
            now = time.monotonic()
            is_first = reminded == started and now - started > PATIENCE_SECONDS
            if is_first or now - reminded > _REMINDER_SECONDS:
                reminded = now
                log.warning("%s", _describe_wait(found, is_ahead))
            time.sleep(_POLL_SECONDS)
        self._released.clear()
        threading.Thread(target=self._beat, name="lock-heartbeat", daemon=True).start()
        if self.protects is not None:
            protect(self.protects, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        if self.protects is not None:
            unprotect(self.protects, self)
        # The folder may be gone, or a stopped process may hold the guard: then the lock stays, and
        # is taken over when this process has exited.
        with contextlib.suppress(OSError, LockedError), _guard(self.path.parent):
            if self.is_owned():
                self.path.unlink(missing_ok=True)

    def is_owned(self) -> bool:
        """Return whether this lock owns the file; a suspended process may have lost it."""
        owner = LockFile.read(self.path).owner
        return owner is not None and owner.token == self._token

    def raise_if_lost(self) -> None:
        """Raise :class:`LostLockError` if another process owns the file, or it was removed."""
        for _ in range(_READS):
            found = LockFile.read(self.path)
            if found.owner is not None:
                break
            time.sleep(_POLL_SECONDS)  # a network file system may be away for a moment
        if found.owner is not None and found.owner.token == self._token:
            return
        if found.owner is None:
            raise LostLockError(
                f"{self.path.parent}: the lock of this process is gone ({self.path.name} was "
                "removed or altered), so it stops without writing",
                "rerun the command to resume",
            )
        raise LostLockError(
            f"{self.path.parent}: taken over by {found.owner}, because this process showed no "
            "sign of life; it stops without writing",
            "let the other process finish, or stop it and rerun",
        )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Raise as :meth:`raise_if_lost` does, or let no other process take the lock inside.

        A process that is stopped while it holds the guard takes nothing now. The first write waits
        for it, and later ones do not.
        """
        with contextlib.ExitStack() as guard:
            try:
                guard.enter_context(_guard(self.path.parent, fcntl.LOCK_SH, self._guard_seconds))
                self._guard_seconds = _GUARD_SECONDS
            except LockedError:
                self._guard_seconds = 0.0
            except OSError:
                pass  # the folder is gone, and the lock with it
            self.raise_if_lost()
            yield

    def _take(self) -> LockFile | None:
        """Take the lock; return the lock file as it is if that is not possible now."""
        with _guard(self.path.parent), translate_write_errors(self.path):
            found = LockFile.read(self.path)
            if found.is_folder:
                raise DiskError(
                    f"{self.path}: expected a lock file, found a folder",
                    f"delete it (rm -r {shlex.quote(str(self.path))}) and rerun",
                )
            if found.exists and found.judge(time.time()) == "alive":
                self._ahead = None
                return found
            part = self.path.with_name(f".{self.path.name}.{self._token}")
            try:
                owner = Owner.of_this_process(self._token)
                part.write_text(dump_json(dataclasses.asdict(owner)), "utf-8")
                # The clock of the file system, which dates heartbeats too.
                if self._is_in_the_way(found, now=part.stat().st_mtime):
                    return found
                os.replace(part, self.path)
            finally:
                part.unlink(missing_ok=True)
            self._remove_parts()
            return None

    def _is_in_the_way(self, found: LockFile, now: float) -> bool:
        """Judge the owner; watch one whose heartbeat is in the future for two heartbeats."""
        judgement = found.judge(now) if found.exists else "dead"
        if judgement != "ahead":
            self._ahead = None
            return judgement == "alive"
        if self._ahead is None or self._ahead[0] != found:
            self._ahead = found, time.monotonic()
        return time.monotonic() - self._ahead[1] < 2 * HEARTBEAT_SECONDS + 1

    def _remove_parts(self) -> None:
        """Remove what processes that were killed while they took the lock have left."""
        now = time.time()
        for part in self.path.parent.glob(f".{self.path.name}.{'[0-9a-f]' * 32}"):
            found = LockFile.read(part)
            if not found.is_folder and found.judge(now) == "dead":
                part.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full or missing disk must not end the owner
                if self.is_owned():
                    os.utime(self.path)

    def _locked_error(self, found: LockFile) -> LockedError:
        return LockedError(
            f"{self.path.parent}: being written by {found.describe_owner()}",
            f"{found.remedy()}, then rerun",
        )


def is_alive(path: Path) -> bool:
    """Return whether the lock file at ``path`` exists and belongs to a live process."""
    found = LockFile.read(path)
    return found.exists and found.judge(time.time()) == "alive"


def describe_owner(path: Path) -> str:
    """Name the process that owns the lock file at ``path``, and say what to do to end the wait."""
    found = LockFile.read(path)
    return f"{found.describe_owner()}; {found.remedy().partition(', or delete')[0]}"


def _describe_wait(found: LockFile, is_ahead: bool) -> str:
    if is_ahead:
        return (
            f"{found.path} is dated in the future; watching for {2 * HEARTBEAT_SECONDS:.0f} s "
            f"whether {found.describe_owner()} still renews it"
        )
    return f"waiting for {found.path}, held by {found.describe_owner()}: {found.remedy()}"


@contextlib.contextmanager
def _guard(folder: Path, kind: int = fcntl.LOCK_EX, seconds: float | None = None) -> Iterator[None]:
    """Keep processes that take a lock apart from each other, and from its owner while it writes.

    The kernel releases the guard when its process dies.

    Args:
        folder: of the lock file.
        kind: ``LOCK_EX`` to take or release a lock, ``LOCK_SH`` to write what it protects.
        seconds: the longest wait; None for ten.

    Raises:
        LockedError: another process has held it for that long, so it hangs or is stopped.
        OSError: the folder cannot be opened.
    """
    seconds = _GUARD_SECONDS if seconds is None else seconds
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        started, is_told = time.monotonic(), False
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = time.monotonic() - started
                if waited > seconds:
                    raise _guard_error(folder, descriptor) from None
                if waited > PATIENCE_SECONDS and not is_told:
                    holder = _flock_holder(os.fstat(descriptor).st_ino)
                    log.warning(
                        "waiting for process %s, which is writing or taking a lock in %s",
                        holder or "?",
                        folder,
                    )
                    is_told = True
                time.sleep(0.005)
                continue
            except OSError:
                # Some network file systems do not support it; the rename in _take is then the only
                # guard, and the loser of a race finds out before its first write.
                break
            else:
                break
        yield
    finally:
        with contextlib.suppress(OSError):  # a forked process may have a copy of the descriptor
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _guard_error(folder: Path, descriptor: int) -> LockedError:
    pid = _flock_holder(os.fstat(descriptor).st_ino)
    name, remedy = "a process of another container", "continue or end it"
    if pid is not None:
        name, remedy = f"process {pid}", f"continue it (kill -CONT {pid}) or end it (kill -9 {pid})"
    return LockedError(
        f"{folder}: {name} has been writing or taking a lock for {_GUARD_SECONDS:.0f} s, so it "
        "hangs or is stopped",
        f"{remedy}, then rerun",
    )


def _flock_holder(inode: int) -> int | None:
    """Return the process that holds the kernel's lock of a file; None if it cannot be seen."""
    try:
        lines = Path("/proc/locks").read_text("utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if "->" not in fields and fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4]) if int(fields[4]) > 0 else None
    return None
