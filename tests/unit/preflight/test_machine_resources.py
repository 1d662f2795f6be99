"""Free memory and disk space, and the peak of this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from warm import run_code

from lmlab.preflight import machine_resources, memory_limits
from lmlab.preflight.machine_resources import (
    free_disk,
    free_memory,
    size_of,
)

CPU = torch.device("cpu")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_folder_s_size_is_that_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one").write_bytes(bytes(10))
    (tmp_path / "a" / "b" / "two").write_bytes(bytes(300))
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert size_of(tmp_path) == 310
    assert size_of(tmp_path / "missing") == 0


def test_free_disk_of_a_folder_still_to_be_made_is_that_of_its_parent(tmp_path: Path) -> None:
    found = free_disk(tmp_path / "not" / "there" / "yet")
    assert found > 0
    assert found == pytest.approx(free_disk(tmp_path), rel=0.05)


# In a process of its own: memory that earlier tests freed stays with theirs and would be reused.
@on_linux
def test_memory_of_a_process_is_counted(tmp_path: Path) -> None:
    code = """
import torch
from lmlab.preflight.machine_resources import (
    FIRST_STEP_BYTES, baseline_bytes, peak_bytes, reset_peak, resident_bytes
)
cpu = torch.device("cpu")
reset_peak(cpu)
before, resident = peak_bytes(cpu), resident_bytes()
# Where the kernel resets no peak, the process may have had a higher one.
block = torch.ones(before - min(before, resident) + 60_000_000, dtype=torch.uint8)
assert peak_bytes(cpu) - before > 40_000_000
del block
assert baseline_bytes(cpu) >= FIRST_STEP_BYTES + resident // 2
"""
    assert run_code(code, tmp_path, os.environ) == (0, "")


@on_linux
def test_reset_forgets_an_earlier_peak(tmp_path: Path) -> None:
    code = """
import torch
from pathlib import Path
from lmlab.preflight.machine_resources import peak_bytes, reset_peak
cpu = torch.device("cpu")
block = torch.ones(200_000_000, dtype=torch.uint8)
with_block = peak_bytes(cpu)
del block
reset_peak(cpu)
found = peak_bytes(cpu)
Path("/proc/self/clear_refs").write_text("5")
if peak_bytes(cpu) > with_block - 100_000_000:
    print("this kernel resets no peak")
else:
    assert found < with_block - 100_000_000
"""
    exit_code, printed = run_code(code, tmp_path, os.environ)
    assert exit_code == 0, printed
    if printed:
        pytest.skip(printed.strip())


@on_linux
def test_the_least_limit_counts_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limits, "CGROUPS", tmp_path)
    plain = free_memory(CPU)
    assert plain is not None and machine_resources.limit_of_memory(CPU) == ""
    (tmp_path / "memory.max").write_text("10000")
    (tmp_path / "memory.current").write_text("4000")
    assert free_memory(CPU) == machine_resources.free_shared_memory(CPU) == 6000
    assert machine_resources.limit_of_memory(CPU) == f"memory.max of {tmp_path}"


@on_linux
def test_the_limits_of_the_shell_count(tmp_path: Path) -> None:
    code = """
import resource, torch
from lmlab.preflight import machine_resources, memory_limits
cpu = torch.device("cpu")
assert machine_resources.largest_file() is None
before = machine_resources.free_shared_memory(cpu)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 50_000_000, resource.RLIM_INFINITY))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
assert 10_000_000 < machine_resources.free_memory(cpu) <= 50_000_000
assert machine_resources.free_shared_memory(cpu) > before // 2, "each process has its own"
assert machine_resources.limit_of_memory(cpu) == "ulimit -v"
assert machine_resources.largest_file() == 1_000_000
"""
    assert run_code(code, tmp_path, os.environ) == (0, "")
