from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lmlab
from lmlab.errors import ConfigError
from lmlab.runtime.device import resolve_device

SETTINGS = {"device": "cpu", "policy": "exact", "compile": False, "threads": 3}


def test_a_cpu_has_no_peak_that_is_known() -> None:
    device = resolve_device(**SETTINGS)
    assert device.device == torch.device("cpu")
    assert device.peak_flops() is None


def test_what_changes_the_result_is_in_the_identity() -> None:
    one = resolve_device(**SETTINGS)
    for change in ({"threads": 2}, {"policy": "fast"}, {"compile": True}):
        assert resolve_device(**SETTINGS | change).identity() != one.identity()


@pytest.mark.parametrize("device", ["cuda:99", "cpu:1", "cuda:x", "tpu"])
def test_a_device_that_is_not_here_is_told_with_those_that_are(device: str) -> None:
    with pytest.raises(ConfigError, match=rf"runtime.device={device}.*available: auto, cpu"):
        resolve_device(**SETTINGS | {"device": device})


def test_a_device_is_told_under_the_key_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^device=cuda:99: .*or leave device=auto$"):
        lmlab.load(tmp_path, device="cuda:99")


def test_the_policy_is_applied_and_taken_back_by_the_next() -> None:
    fast, exact = (
        resolve_device(**SETTINGS | {"policy": p, "threads": 1}) for p in ("fast", "exact")
    )
    fast.apply()
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == fast.policy.matmul_precision
    exact.apply()
    assert torch.get_float32_matmul_precision() == "highest"
