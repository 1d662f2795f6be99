"""Free memory and disk space of this machine, and the memory that this process uses."""

from __future__ import annotations

import resource
import shutil
import sys
from pathlib import Path

import torch

from lmlab.preflight.memory_limits import memory_limits, read_field

# Memory of torch's libraries and threads on a CPU, apart from tensors, after the first step.
FIRST_STEP_BYTES = 35_000_000


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that can still be allocated on ``device``; None where that is unknown."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return _free_host_memory()


def free_shared_memory(device: torch.device) -> int | None:
    """Return what several processes on ``device`` can still allocate together."""
    if device.type != "cpu":
        return free_memory(device)
    available = _available()
    shared = [limit.free for limit in memory_limits() if limit.is_shared]
    return None if available is None else min([available, *shared])


def limit_of_memory(device: torch.device) -> str:
    """Name what limits :func:`free_memory` to less than the machine has; empty if nothing does."""
    available = _available() if device.type == "cpu" else None
    least = min(memory_limits(), key=lambda limit: limit.free, default=None)
    is_limited = available is not None and least is not None and least.free < available
    return least.name if least is not None and is_limited else ""


def _free_host_memory() -> int | None:
    """The kernel's estimate, or the rest of the least limit where that is less."""
    available = _available()
    return None if available is None else min([available, *(x.free for x in memory_limits())])


def _available() -> int | None:
    return read_field(Path("/proc/meminfo"), "MemAvailable")


def largest_file() -> int | None:
    """Return the bytes that a file of this process may have; None without a limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if limit == resource.RLIM_INFINITY else limit


def free_disk(folder: Path) -> int:
    """Return the free bytes of the file system that ``folder`` is or will be on."""
    existing = folder.resolve()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def size_of(folder: Path) -> int:
    """Return the total size of all files below ``folder``, in bytes."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def resident_bytes() -> int | None:
    """Return the resident memory of this process; None where that is unknown."""
    return read_field(Path("/proc/self/status"), "VmRSS")


def reset_peak(device: torch.device) -> None:
    """Start a new measurement of :func:`peak_bytes`."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return  # the kernel then reports the peak since the start of the process


def peak_bytes(device: torch.device) -> int | None:
    """Return the peak since :func:`reset_peak`: allocated on CUDA, resident memory on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "cpu":
        return read_field(Path("/proc/self/status"), "VmHWM")
    return None


def baseline_bytes(device: torch.device) -> int:
    """Return what :func:`peak_bytes` counts before a run starts."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return (resident_bytes() or 0) + FIRST_STEP_BYTES if device.type == "cpu" else 0
