"""The CPU of this machine: usable cores, model name and instruction sets. Imports no torch."""

from __future__ import annotations

import functools
import os

_CPUINFO = "/proc/cpuinfo"
# x86 lists instruction sets as flags, Arm as Features; Arm gives its model as a part number.
_KEYS = ("model name", "CPU part", "flags", "Features")


def usable_cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def cpu_info() -> dict[str, str]:
    """Model and instruction sets of the first core, by the keys of ``/proc/cpuinfo``.

    Machine code made for one CPU may not run on another, so caches of it are keyed by this. Empty
    on systems other than Linux.
    """
    try:
        with open(_CPUINFO, encoding="utf-8") as file:
            # Linux composes the file as it is read, and every core repeats the first one's lines.
            first_core = iter(lambda: file.readline().rstrip("\n"), "")
            entries = [line.partition(":") for line in first_core]
    except OSError:
        return {}
    info = {key.strip(): value.strip() for key, _, value in entries}
    return {key: info[key] for key in _KEYS if key in info}


def cpu_name() -> str:
    """The model name of the CPU; its architecture where the system gives no name."""
    name = cpu_info().get("model name")
    if name:
        return name
    import platform  # two milliseconds of start-up

    return platform.machine()
