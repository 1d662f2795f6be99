from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import lmlab.runtime.compile_policy as compiling
from lmlab.runtime.compile_policy import Workload, should_compile

WORK = Workload(
    shape={"d_model": 512}, steps=5000, step_flops=230 * 10**9, device_type="cpu",
    precision="fp32", threads=2,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _has_compiler(monkeypatch) -> None:
    monkeypatch.setattr(compiling, "has_compiler", lambda device_type: True)


def test_long_runs_are_compiled_and_short_ones_are_not(tmp_path: Path) -> None:
    assert should_compile(WORK, tmp_path)
    assert not should_compile(dataclasses.replace(WORK, steps=20, shape=0), tmp_path)


def test_a_warm_cache_makes_shorter_runs_worth_it(tmp_path: Path) -> None:
    short = dataclasses.replace(WORK, steps=150)
    assert not should_compile(short, tmp_path / "cold")
    should_compile(WORK, tmp_path / "warm")
    assert should_compile(short, tmp_path / "warm")


def test_what_was_decided_stays_so_though_the_cache_has_become_warm(tmp_path: Path) -> None:
    short = dataclasses.replace(WORK, steps=150)
    assert not should_compile(short, tmp_path)
    should_compile(WORK, tmp_path)
    assert not should_compile(short, tmp_path), "a rerun must find its run again"


def test_nothing_is_compiled_without_a_compiler_or_without_counts(monkeypatch, tmp_path) -> None:
    assert not should_compile(dataclasses.replace(WORK, step_flops=None), tmp_path)
    monkeypatch.setattr(compiling, "has_compiler", lambda device_type: False)
    assert not should_compile(WORK, tmp_path)
