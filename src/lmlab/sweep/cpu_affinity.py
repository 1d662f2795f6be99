"""Pin each single-threaded worker to a core that no other worker of this user occupies."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

_lock_descriptors: list[int] = []  # the kernel releases the locks when this process ends


def pin_to_free_core() -> int | None:
    """Pin this process to a core that no other pinned worker occupies.

    Concurrent sweeps share the machine this way: each worker takes the first free core, protected
    by a file lock that ends with its process.

    Returns:
        The core; None if no core is free or the system cannot pin, and the scheduler decides.
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
            _lock_descriptors.append(descriptor)
            os.sched_setaffinity(0, {core})
            return core
    except OSError:
        return None  # pinning only affects speed
    return None
