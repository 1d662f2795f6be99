from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lmlab.runtime import compile_policy
from lmlab.runtime.compile_policy import Workload, should_compile

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
