"""Free memory and disk space, and the peak of this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from lmlab.preflight import machine_resources
from lmlab.preflight.machine_resources import (
    FIRST_STEP_BYTES,
    baseline_bytes,
    free_disk,
    free_memory,
    peak_bytes,
    reset_peak,
    resident_bytes,
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


@on_linux
def test_memory_of_this_process_is_counted() -> None:
    reset_peak(CPU)
    before, resident = peak_bytes(CPU), resident_bytes()
    assert before is not None and resident is not None
    # Where the kernel resets no peak, the process has had more before.
    block = torch.ones(before - min(before, resident) + 60_000_000, dtype=torch.uint8)
    after = peak_bytes(CPU)
    del block
    assert after is not None and after - before > 40_000_000
    assert baseline_bytes(CPU) >= FIRST_STEP_BYTES + resident // 2


@on_linux
def test_reset_forgets_an_earlier_peak() -> None:
    block = torch.ones(200_000_000, dtype=torch.uint8)
    with_block = peak_bytes(CPU)
    del block
    reset_peak(CPU)
    found = peak_bytes(CPU)
    Path("/proc/self/clear_refs").write_text("5")
    possible = peak_bytes(CPU)
    assert with_block is not None and found is not None and possible is not None
    if possible > with_block - 100_000_000:
        pytest.skip("this kernel resets no peak")
    assert found < with_block - 100_000_000


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
