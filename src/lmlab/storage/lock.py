"""A lock file with a heartbeat, so that the lock of a dead process can be taken over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from lmlab.errors import LockedError
from lmlab.storage.io import make_folder, translate_write_errors
from lmlab.storage.json_text import dump_json, load_json

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0


class Lock:
    """An exclusive lock between processes, on one host or over a shared file system.

    The lock file names its owner (host, process id, start time of the process), which renews the
    modification time every five seconds. An owner on this host is dead when its process has
    exited; an owner on another host, when its heartbeat is a minute old. The lock of a dead owner
    is taken over.

    Args:
        path: the lock file.
        wait: wait until the owner releases the lock; False raises at once.

    Raises:
        LockedError: a live process owns the lock and ``wait`` is False.
        DiskError: the folder is not writable.
    """

    def __init__(self, path: Path, wait: bool = True) -> None:
        self.path = Path(path)
        self.wait = wait
        self._token = uuid.uuid4().hex
        self._released = threading.Event()

    def __enter__(self) -> Lock:
        make_folder(self.path.parent)
        while not self._take():
            if not self.wait:
                raise self._locked_error()
            time.sleep(0.1)
        self._released.clear()
        threading.Thread(target=self._beat, name="lock-heartbeat", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        with _guard(self.path.parent):
            if self.is_owned():
                self.path.unlink(missing_ok=True)

    def is_owned(self) -> bool:
        """Return whether this lock owns the file; a suspended process may have lost it."""
        return _read_owner(self.path).get("token") == self._token

    def _take(self) -> bool:
        with _guard(self.path.parent), translate_write_errors(self.path):
            if is_alive(self.path):
                return False
            owner = {"host": socket.gethostname(), "pid": os.getpid(), "token": self._token}
            owner["process_start"] = process_start_time(os.getpid())
            temporary = self.path.with_name(f".{self.path.name}.{self._token}")
            temporary.write_text(dump_json(owner), "utf-8")
            os.replace(temporary, self.path)
            return True

    def _beat(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full or missing disk must not end the owner
                if self.is_owned():
                    os.utime(self.path)

    def _locked_error(self) -> LockedError:
        owner = _read_owner(self.path)
        return LockedError(
            f"{self.path.parent}: being written by process {owner.get('pid')} on "
            f"{owner.get('host')}",
            "wait for it or stop it, then rerun",
        )


def is_alive(path: Path) -> bool:
    """Return whether the lock file at ``path`` exists and belongs to a live process."""
    try:
        age_seconds = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    owner = _read_owner(path)
    if not owner:
        return False  # written atomically: an unreadable file is damaged
    if owner.get("host") != socket.gethostname():
        return age_seconds < STALE_SECONDS
    return process_start_time(int(owner["pid"])) == owner.get("process_start")


def _read_owner(path: Path) -> dict[str, Any]:
    try:
        owner = load_json(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def process_start_time(pid: int) -> str | None:
    """Return the start time of a process, which distinguishes it from a later one with its id.

    None if the process has exited. Without ``/proc``, a constant for any live process.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # Field 22, counted after the command name, which may contain spaces and brackets.
            fields = stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"


@contextlib.contextmanager
def _guard(folder: Path) -> Iterator[None]:
    """Serialize check and take between processes; the kernel releases it when a process dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems do not support it; the rename in _take is then the only guard.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
