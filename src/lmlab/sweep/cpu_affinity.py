"""One core for one single-threaded worker, that no other worker of this user has."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

_held: list[int] = []  # descriptors: the kernel frees the locks when this process ends


def pin_to_free_core() -> int | None:
    """Keep this process on a core that no other pinned worker works on.

    Sweeps that run side by side so share the machine: each worker takes the first core that is
    free, by a lock that ends with its process, and is left to the system where none is.

    Returns:
        The core; None where this process was not pinned.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    folder = Path(tempfile.gettempdir()) / f"lmlab-cores-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for core in sorted(os.sched_getaffinity(0)):
            descriptor = os.open(folder / str(core), os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            _held.append(descriptor)
            os.sched_setaffinity(0, {core})
            return core
    except OSError:
        return None  # only speed depends on it
    return None
