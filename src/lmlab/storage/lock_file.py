"""The content of a lock file: who owns it, and whether that process lives."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shlex
import stat
import time
from pathlib import Path
from typing import Any, Literal

from lmlab.storage.process_identity import (
    UNKNOWN_START,
    boot_id,
    host_name,
    is_stopped,
    pid_namespace,
    process_start_time,
)

STALE_SECONDS = 60.0
_MAX_BYTES = 64 << 10
_NO_FILE = (errno.ENXIO, errno.ENODEV, errno.ELOOP)  # a socket, a device, links that form a loop

# ``ahead``: no process can be seen, and the heartbeat is dated in the future.
Judgement = Literal["alive", "dead", "ahead"]


@dataclasses.dataclass(frozen=True)
class Owner:
    """The process that a lock file names; earlier versions recorded only the first four.

    Attributes:
        host: name of its host.
        pid: its id there.
        token: unique to this taking of the lock.
        process_start: start time of the process, as :func:`process_start_time` returns it.
        boot_id: boot of its host.
        pid_namespace: name space in which its id is valid.
        since: when it took the lock, in seconds since the epoch.
    """

    host: str
    pid: int
    token: str
    process_start: str | None = None
    boot_id: str | None = None
    pid_namespace: str | None = None
    since: float | None = None

    @classmethod
    def of_this_process(cls, token: str) -> Owner:
        """Return what this process writes into a lock file."""
        pid = os.getpid()
        start = process_start_time(pid)
        return cls(host_name(), pid, token, start, boot_id(), pid_namespace(), time.time())

    @property
    def is_here(self) -> bool:
        """Whether the process id is valid here: same boot, same name space of process ids."""
        if self.boot_id is None and self.pid_namespace is None:  # as on macOS
            return (self.host, None) == (host_name(), boot_id())
        return (self.boot_id, self.pid_namespace) == (boot_id(), pid_namespace())

    @property
    def was_here_before(self) -> bool:
        """Whether an earlier version, which recorded no boot, took the lock on this host."""
        return (self.host, self.boot_id) == (host_name(), None) and bool(self.process_start)

    @property
    def has_same_start(self) -> bool:
        """Whether a live process here has the id and the start time of the owner."""
        start = process_start_time(self.pid)
        is_unknown = UNKNOWN_START in (start, self.process_start)
        return start is not None and (is_unknown or start == self.process_start)

    def __str__(self) -> str:
        """Name the process, its host, and since when it holds the lock."""
        text = f"process {self.pid} on {_printable(self.host)}"
        if self.since is None:
            return text
        return f"{text} since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}"


@dataclasses.dataclass(frozen=True)
class LockFile:
    """A lock file as it was read.

    Attributes:
        path: where it is.
        exists: whether anything is there; a dangling link is nothing.
        is_folder: whether a folder is in its place.
        owner: the process it names; None if it names none.
        is_hidden: whether it cannot be read, so that its owner is unknown.
        heartbeat: its modification time.
    """

    path: Path
    exists: bool = False
    is_folder: bool = False
    owner: Owner | None = None
    is_hidden: bool = False
    heartbeat: float = 0.0

    @classmethod
    def read(cls, path: Path) -> LockFile:
        """Read a lock file, whatever is in its place, without waiting."""
        try:
            # A named pipe would wait for its writer; a device could be endless.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except (FileNotFoundError, NotADirectoryError):
            return cls(path)
        except OSError as error:
            if error.errno in _NO_FILE:
                return cls(path, True)
            # Not permitted, too many open files, or a network file system that is away.
            try:
                return cls(path, True, is_hidden=True, heartbeat=path.stat().st_mtime)
            except OSError:
                return cls(path, True, is_hidden=True, heartbeat=time.time())
        try:
            found = os.fstat(descriptor)
            content = os.read(descriptor, _MAX_BYTES) if stat.S_ISREG(found.st_mode) else b""
        finally:
            os.close(descriptor)
        is_folder = stat.S_ISDIR(found.st_mode) and not path.is_symlink()
        return cls(path, True, is_folder, _parse(content), heartbeat=found.st_mtime)

    def judge(self, now: float) -> Judgement:
        """Judge the owner: by its process where that can be seen, otherwise by its heartbeat.

        Args:
            now: the time by the clock that dates files here.
        """
        if self.owner is None and not self.is_hidden:
            return "dead"  # lock files are written atomically: this one is damaged, or not ours
        if self.owner is not None:
            if self.owner.is_here:
                return "alive" if self.owner.has_same_start else "dead"
            if self.owner.was_here_before and self.owner.has_same_start:
                return "alive"
        age = now - self.heartbeat
        if age < -STALE_SECONDS:
            return "ahead"
        return "alive" if age < STALE_SECONDS else "dead"

    def describe_owner(self) -> str:
        """Name the process that owns the lock, its host, and since when."""
        return "an unknown process" if self.owner is None else str(self.owner)

    def remedy(self) -> str:
        """Return what to do where the lock is in the way; begins with a verb."""
        if self.owner is not None and self.owner.is_here:
            pid = self.owner.pid
            if is_stopped(pid):
                return f"it is stopped: continue it (kill -CONT {pid}) or end it (kill -9 {pid})"
            return f"wait for it or stop it (kill {pid})"
        seconds = max(0.0, time.time() - self.heartbeat)
        return (
            f"wait for it or stop it; if it has ended, its lock expires {STALE_SECONDS:.0f} s "
            f"after its last sign of life ({seconds:.0f} s ago), or delete "
            f"{shlex.quote(str(self.path))}"
        )


def _parse(content: bytes) -> Owner | None:
    """Return the owner that a lock file names; None for content that no version writes."""
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    host, pid, token = (record.get(name) for name in ("host", "pid", "token"))
    if not (isinstance(host, str) and isinstance(token, str) and token):
        return None
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 1 << 31:
        return None
    start, boot, namespace = (
        value if isinstance(value := record.get(name), str) else None
        for name in ("process_start", "boot_id", "pid_namespace")
    )
    return Owner(host, pid, token, start, boot, namespace, _past_time(record.get("since")))


def _past_time(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 1 << 33 else None


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)[:100]
