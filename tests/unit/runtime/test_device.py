from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lmlab
from lmlab.errors import ConfigError
from lmlab.runtime.device import resolve_device

SETTINGS = {"device": "cpu", "policy": "exact", "compile": False, "threads": 3}


def test_the_peak_of_a_cpu_is_unknown() -> None:
    device = resolve_device(**SETTINGS)
    assert device.device == torch.device("cpu")
    assert device.peak_flops() is None


def test_settings_that_change_results_are_in_the_identity() -> None:
    one = resolve_device(**SETTINGS)
    for change in ({"threads": 2}, {"policy": "fast"}, {"compile": True}):
        assert resolve_device(**SETTINGS | change).identity() != one.identity()


@pytest.mark.parametrize("device", ["cuda:99", "cpu:1", "cuda:x", "tpu"])
def test_a_missing_device_is_refused_with_the_available_ones(device: str) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"runtime.device={device}: not available on this machine; expected one of auto, cpu",
    ):
        resolve_device(**SETTINGS | {"device": device})


def test_the_message_names_the_key_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^device=cuda:99: .*\nhelp: .*set device=cpu or leave it at auto$"
    ):
        lmlab.load(tmp_path, device="cuda:99")


def test_applying_a_policy_replaces_the_previous_one() -> None:
    fast, exact = (
        resolve_device(**SETTINGS | {"policy": p, "threads": 1}) for p in ("fast", "exact")
    )
    fast.apply()
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == fast.policy.matmul_precision
    exact.apply()
    assert torch.get_float32_matmul_precision() == "highest"
