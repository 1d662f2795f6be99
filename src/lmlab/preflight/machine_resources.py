"""Free memory and disk space of this machine, and the memory that this process uses."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

# Memory of torch's libraries and threads on a CPU, apart from tensors, after the first step.
FIRST_STEP_BYTES = 35_000_000
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that can still be allocated on ``device``; None where that is unknown."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return _free_host_memory()


def _free_host_memory() -> int | None:
    """The kernel's estimate, or the rest of the container's limit where that is less."""
    available = _read_field(Path("/proc/meminfo"), "MemAvailable")
    if available is None:
        return None
    for limit_file, used_file in _CGROUPS:
        limit, used = _read_number(limit_file), _read_number(used_file)
        if limit is not None and used is not None and limit < 1 << 60:
            cached = _read_field(limit_file.with_name("memory.stat"), "inactive_file", unit=1) or 0
            available = min(available, max(0, limit - used + cached))
    return available


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
    return _read_field(Path("/proc/self/status"), "VmRSS")


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
        return _read_field(Path("/proc/self/status"), "VmHWM")
    return None


def baseline_bytes(device: torch.device) -> int:
    """Return what :func:`peak_bytes` counts before a run starts."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return (resident_bytes() or 0) + FIRST_STEP_BYTES if device.type == "cpu" else 0


def _read_field(path: Path, key: str, unit: int = 1024) -> int | None:
    """Read a number from a file of ``key: number`` lines, as in /proc."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.replace(":", " ").split()
        if fields and fields[0] == key:
            return int(fields[1]) * unit
    return None


def _read_number(path: Path) -> int | None:
    try:
        text = path.read_text("utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
