"""What this machine has to give, and what this process has taken of it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

# What torch's libraries and threads take on a CPU besides tensors, once a step was taken.
FIRST_STEP_BYTES = 35_000_000
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def free_memory(device: torch.device) -> int | None:
    """Bytes that may still be taken on ``device``; None where that cannot be told."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    if device.type == "mps":
        whole = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        return int(whole)
    return _free_host_memory()


def _free_host_memory() -> int | None:
    """The kernel's estimate, or what the container leaves where that is less."""
    available = _of_status(Path("/proc/meminfo"), "MemAvailable")
    if available is None:
        return None
    for limit_file, used_file in _CGROUPS:
        limit, used = _number(limit_file), _number(used_file)
        if limit is not None and used is not None and limit < 1 << 60:
            cached = _of_status(limit_file.with_name("memory.stat"), "inactive_file", unit=1) or 0
            available = min(available, max(0, limit - used + cached))
    return available


def free_disk(folder: Path) -> int:
    """Bytes free where ``folder`` is or will be."""
    there = folder.resolve()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def size_of(folder: Path) -> int:
    """Bytes of all files below ``folder``."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def resident_bytes() -> int | None:
    """Memory of this process now; None where that cannot be told."""
    return _of_status(Path("/proc/self/status"), "VmRSS")


def watch_peak(device: torch.device) -> None:
    """Forget the peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return  # the peak then counts from the start of the process


def peak_bytes(device: torch.device) -> int | None:
    """The most memory held since :func:`watch_peak`: allocated on CUDA, of the process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "cpu":
        return _of_status(Path("/proc/self/status"), "VmHWM")
    return None


def held_before(device: torch.device) -> int:
    """What :func:`peak_bytes` counts before a run begins."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return (resident_bytes() or 0) + FIRST_STEP_BYTES if device.type == "cpu" else 0


def _of_status(path: Path, key: str, unit: int = 1024) -> int | None:
    """A number of a file of ``key: number`` lines, as the kernel writes them."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.replace(":", " ").split()
        if words and words[0] == key:
            return int(words[1]) * unit
    return None


def _number(path: Path) -> int | None:
    try:
        text = path.read_text("utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
