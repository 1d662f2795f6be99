"""Free memory and disk space, and the peak of this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from warm import run_code

from lmlab.preflight import machine_resources
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


def cgroup(tmp_path: Path, limit: str, used: int, inactive: int) -> tuple[Path, Path]:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\nactive_file 7\n")
    return tmp_path / "memory.max", tmp_path / "memory.current"


@on_linux
@pytest.mark.parametrize(
    ("limit", "used", "inactive", "left"),
    [
        ("10000", 4000, 0, 6000),
        ("10000", 4000, 1500, 7500),  # the kernel drops cached files when memory is needed
        ("10000", 12000, 500, 0),
    ],
)
def test_a_container_s_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, used: int, inactive: int, left: int
) -> None:
    files = cgroup(tmp_path, limit, used, inactive)
    monkeypatch.setattr(machine_resources, "_CGROUPS", (files,))
    assert free_memory(CPU) == left


@on_linux
@pytest.mark.parametrize("limit", ["max", str(1 << 62)])
def test_without_a_limit_the_kernel_s_estimate_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(machine_resources, "_CGROUPS", ())
    plain = free_memory(CPU)
    assert plain is not None
    files = cgroup(tmp_path, limit, 4000, 0)
    monkeypatch.setattr(machine_resources, "_CGROUPS", (files, (tmp_path / "no", tmp_path / "no")))
    assert free_memory(CPU) == pytest.approx(plain, rel=0.5)
