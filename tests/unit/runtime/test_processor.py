"""What identifies the CPU is read from its first core, and affinity limits the usable cores."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmlab.runtime import processor

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) CPU @ 2.20GHz
cpu MHz\t\t: 2200.158
flags\t\t: fpu sse4_2 avx2
vmx flags\t: vnmi

processor\t: 1
model name\t: Another
flags\t\t: fpu

"""
ARM = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd sve
CPU part\t: 0xd40

"""


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(processor, "_CPUINFO", str(path))
    processor.cpu_info.cache_clear()
    yield path
    processor.cpu_info.cache_clear()


def test_x86_is_known_by_model_and_flags_of_its_first_core(cpuinfo: Path) -> None:
    cpuinfo.write_text(X86)
    assert processor.cpu_info() == {
        "model name": "Intel(R) Xeon(R) CPU @ 2.20GHz",
        "flags": "fpu sse4_2 avx2",
    }
    assert processor.cpu_name() == "Intel(R) Xeon(R) CPU @ 2.20GHz"


def test_arm_is_known_by_part_and_features_and_named_by_its_architecture(cpuinfo: Path) -> None:
    cpuinfo.write_text(ARM)
    assert processor.cpu_info() == {"CPU part": "0xd40", "Features": "fp asimd sve"}
    assert processor.cpu_name() == platform.machine()


def test_other_systems_have_no_cpu_info_but_a_name(cpuinfo: Path) -> None:
    assert processor.cpu_info() == {}
    assert processor.cpu_name() == platform.machine()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity here")
def test_only_the_cores_that_affinity_allows_are_usable() -> None:
    before = os.sched_getaffinity(0)
    assert processor.usable_cores() == len(before)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert processor.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
