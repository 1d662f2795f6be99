"""Limits of control groups, of both versions and at every level."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.preflight import memory_limits


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders in place of those of the kernel."""
    monkeypatch.setattr(memory_limits, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory_limits, "PROCESS", tmp_path / "self")
    (tmp_path / "self").mkdir()
    return tmp_path


def limit_group(folder: Path, limit: str, used: int, inactive: int = 0, version: int = 2) -> None:
    """Write the files of a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {2: ("max", "current"), 1: ("limit_in_bytes", "usage_in_bytes")}[version]
    for name, value in zip(names, (limit, used), strict=True):
        (folder / f"memory.{name}").write_text(f"{value}\n")
    prefix = "total_" if version == 1 else ""
    text = f"anon 5\n{prefix}inactive_file {inactive}\nactive_file 7\n"
    (folder / "memory.stat").write_text(text)


@pytest.mark.parametrize(
    ("limit", "used", "inactive", "left"),
    [
        ("10000", 4000, 0, [6000]),
        ("10000", 4000, 1500, [7500]),  # the kernel drops cached files when memory is needed
        ("10000", 12000, 500, [0]),
        ("max", 4000, 0, []),
        (str(1 << 62), 4000, 0, []),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_container_counts(
    machine: Path, version: int, limit: str, used: int, inactive: int, left: list[int]
) -> None:
    folder = machine / "cgroup" / ("memory" if version == 1 else "")
    limit_group(folder, limit, used, inactive, version)
    assert [found.free for found in memory_limits.memory_limits()] == left


@pytest.mark.parametrize(
    ("membership", "base", "version"),
    [
        ("0::/user.slice/job/step", "", 2),
        ("12:cpu,cpuacct:/other\n4:memory:/user.slice/job/step\n0::/", "memory", 1),
        ("3:cpuset,memory:/user.slice/job/step", "memory", 1),
    ],
)
def test_every_level_around_the_process_counts(
    machine: Path, membership: str, base: str, version: int
) -> None:
    (machine / "self" / "cgroup").write_text(membership + "\n")
    root = machine / "cgroup" / base
    limit_group(root / "user.slice", "9000", 1000, version=version)
    limit_group(root / "user.slice" / "job", "5000", 1000, version=version)
    limit_group(root / "user.slice" / "job" / "step", "max", 500, version=version)
    limit_group(root / "user.slice" / "other", "10", 0, version=version)
    assert sorted(found.free for found in memory_limits.memory_limits()) == [4000, 8000]


@pytest.mark.parametrize("membership", ["0::/../../host", "", "nonsense", "0::/docker/0f3a"])
def test_a_group_that_is_not_visible_here_limits_nothing(machine: Path, membership: str) -> None:
    (machine / "self" / "cgroup").write_text(membership)
    limit_group(machine / "cgroup", "10000", 4000)
    limit_group(machine / "host", "10", 0)
    assert [found.free for found in memory_limits.memory_limits()] == [6000]
