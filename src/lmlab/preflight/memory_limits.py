"""Limits on the memory of this process: those of its control groups, and those of its shell."""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROCESS = Path("/proc/self")
_UNLIMITED = 1 << 60
# Version of control groups: files of limit and use, and the part of the use that is only cached.
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
_SHELL = (
    ("ulimit -v", resource.RLIMIT_AS, "VmSize"),
    ("ulimit -d", resource.RLIMIT_DATA, "VmData"),
)


@dataclasses.dataclass(frozen=True)
class MemoryLimit:
    """A limit on memory.

    Attributes:
        free: bytes that can still be allocated.
        name: what sets the limit.
        is_shared: whether all processes of a job share it.
    """

    free: int
    name: str
    is_shared: bool


def memory_limits() -> list[MemoryLimit]:
    """Return the limits of this process, of every control group around it too."""
    return [*_of_cgroups(), *_of_shell()]


def _of_cgroups() -> Iterator[MemoryLimit]:
    for folder, version in _cgroups().items():
        limit_file, used_file, cached = _FILES[version]
        limit, used = read_number(folder / limit_file), read_number(folder / used_file)
        if limit is None or used is None or limit >= _UNLIMITED:
            continue
        stat = folder / "memory.stat"
        # The kernel drops cached files when memory is needed.
        unneeded = read_field(stat, cached, unit=1) or read_field(stat, "inactive_file", unit=1)
        free = max(0, limit - used + (unneeded or 0))
        yield MemoryLimit(free, f"{limit_file} of {folder}", is_shared=True)


def _cgroups() -> dict[Path, int]:
    """Return the folders of the control groups around this process, each with its version.

    In a container, the path of the group may be one of the host, and only the root is visible.
    """
    found = {CGROUPS: 2, CGROUPS / "memory": 1}
    for line in _lines(PROCESS / "cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        parts = [part for part in name.split("/") if part]
        if ".." in parts or (controllers and "memory" not in controllers.split(",")):
            continue
        folder, version = CGROUPS, 2
        if controllers:
            folder, version = CGROUPS / "memory", 1
        for part in parts:
            folder /= part
            found[folder] = version
    return found


def _of_shell() -> Iterator[MemoryLimit]:
    for name, number, key in _SHELL:
        limit, _ = resource.getrlimit(number)
        used = read_field(PROCESS / "status", key)
        if limit != resource.RLIM_INFINITY and used is not None:
            yield MemoryLimit(max(0, limit - used), name, is_shared=False)


def read_field(path: Path, key: str, unit: int = 1024) -> int | None:
    """Read a number from a file of ``key: number`` lines, as in /proc."""
    for line in _lines(path):
        fields = line.replace(":", " ").split()
        if len(fields) > 1 and fields[0] == key and fields[1].isdigit():
            return int(fields[1]) * unit
    return None


def read_number(path: Path) -> int | None:
    """Read a file that holds one number; None if there is none, or another word."""
    text = "".join(_lines(path)[:1]).strip()
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError:
        return []
