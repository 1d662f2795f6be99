"""What identifies a process among all hosts, containers and restarts that share a file system."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path

UNKNOWN_START = "alive"  # in the place of a start time that this process cannot read


def host_name() -> str:
    """Return the name of this host; containers may share one."""
    return socket.gethostname()


@functools.cache
def boot_id() -> str | None:
    """Return what distinguishes this boot of the system from all others; None: it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip() or None
    except (OSError, ValueError):
        return None


def pid_namespace() -> str | None:
    """Return the name space of process ids, which containers of one boot do not share.

    None: the system has none.
    """
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def process_start_time(pid: int) -> str | None:
    """Return the start time of a process, which distinguishes it from a later one with its id.

    Args:
        pid: id of a process of this host and of this name space of process ids.

    Returns:
        None if the process has exited; :data:`UNKNOWN_START` for a live process whose start time
        this process cannot read.
    """
    if _proc_shows_own_ids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass  # it has exited, or /proc hides the processes of other users
        else:
            # Field 22, counted after the command name, which may contain spaces and brackets.
            fields = stat.rpartition(")")[2].split()
            return None if fields[0] in "ZX" else fields[19]
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    return UNKNOWN_START if Path("/proc/self").exists() else _start_time_by_ps(pid)


def is_stopped(pid: int) -> bool:
    """Return whether a process of this host is stopped, as by SIGSTOP; False if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return _proc_shows_own_ids() and stat.rpartition(")")[2].split()[0] in "Tt"


def _proc_shows_own_ids() -> bool:
    """Return whether ``/proc`` numbers processes as this process does; a container's may not."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def _start_time_by_ps(pid: int) -> str:
    """Return the start time where there is no ``/proc``, as on macOS."""
    import subprocess  # slow to import, and Linux needs none

    try:
        done = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], check=True, capture_output=True, text=True,
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN_START
    return done.stdout.strip() or UNKNOWN_START
