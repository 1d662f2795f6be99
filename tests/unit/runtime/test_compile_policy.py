from __future__ import annotations

import dataclasses
import os
import sys
import sysconfig
from pathlib import Path

import pytest

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.runs.auto_settings import choose_device
from lmlab.runtime import compile_policy
from lmlab.runtime.compile_policy import (
    Workload,
    missing_to_compile,
    should_compile,
)
from lmlab.runtime.cpp_extension import find_compiler

WORK = Workload(
    shape={"d_model": 512}, steps=5000, step_flops=230 * 10**9, device_type="cpu",
    precision="fp32", threads=2,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _has_compiler(monkeypatch) -> None:
    monkeypatch.setattr(compile_policy, "has_compiler", lambda device_type: True)


def test_long_runs_are_compiled_and_short_ones_are_not(tmp_path: Path) -> None:
    assert should_compile(WORK, tmp_path)
    assert not should_compile(dataclasses.replace(WORK, steps=20, shape=0), tmp_path)


def test_a_warm_cache_makes_shorter_runs_worth_compiling(tmp_path: Path) -> None:
    short = dataclasses.replace(WORK, steps=150)
    assert not should_compile(short, tmp_path / "cold")
    should_compile(WORK, tmp_path / "warm")
    assert should_compile(short, tmp_path / "warm")


def test_the_decision_stays_when_the_cache_becomes_warm(tmp_path: Path) -> None:
    short = dataclasses.replace(WORK, steps=150)
    assert not should_compile(short, tmp_path)
    should_compile(WORK, tmp_path)
    assert not should_compile(short, tmp_path), "a rerun must find its run"


def test_nothing_is_compiled_without_a_compiler_or_an_estimate(monkeypatch, tmp_path) -> None:
    assert not should_compile(dataclasses.replace(WORK, step_flops=None), tmp_path)
    monkeypatch.setattr(compile_policy, "has_compiler", lambda device_type: False)
    assert not should_compile(WORK, tmp_path)


@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler here")
def test_a_machine_without_python_headers_cannot_compile(monkeypatch, tmp_path) -> None:
    """Inductor's C++ includes Python.h, which Debian's python3 comes without."""
    for variable in ("CPATH", "CPLUS_INCLUDE_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sysconfig, "get_path", lambda *names: str(tmp_path))
    needed, fix = missing_to_compile("cpu") or ("", "")
    assert "Python.h" in needed and str(tmp_path) in needed
    assert f"python3.{sys.version_info.minor}-dev" in fix
    monkeypatch.setenv("CPATH", f"/nowhere{os.pathsep}{tmp_path}")
    (tmp_path / "Python.h").touch()
    assert missing_to_compile("cpu") is None


def test_a_missing_compiler_is_reported_before_training(monkeypatch, tmp_path) -> None:
    overrides = ["scale=smoke", f"output_root={tmp_path}", "runtime.device=cpu"]
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"runtime\.compile=true: expected a C\+\+ compiler"):
        choose_device(resolve(compose([*overrides, "runtime.compile=true"])))
    assert not choose_device(resolve(compose([*overrides, "runtime.compile=auto"]))).compile
