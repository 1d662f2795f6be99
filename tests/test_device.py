from __future__ import annotations

import pytest
import torch

from lmlab.device import resolve_device
from lmlab.errors import ConfigError

SETTINGS = {
    "device": "cpu", "precision": "auto", "tf32": True, "compile": "auto", "threads": 3,
    "deterministic": True,
}  # fmt: skip


def test_auto_on_a_cpu_means_exact_float32() -> None:
    device = resolve_device(**SETTINGS)
    assert device.device == torch.device("cpu")
    assert (device.precision, device.compile, device.tf32) == ("fp32", False, False)
    assert device.peak_flops() is None


def test_what_changes_no_result_is_not_in_the_identity() -> None:
    one, other = (resolve_device(**SETTINGS | {"tf32": tf32}) for tf32 in (True, False))
    assert one.identity() == other.identity(), "TF32 does not exist on a CPU"
    assert resolve_device(**SETTINGS | {"threads": 2}).identity() != one.identity()
    assert resolve_device(**SETTINGS | {"precision": "bf16"}).identity() != one.identity()


@pytest.mark.parametrize("device", ["cuda:99", "cpu:1"])
def test_a_device_that_is_not_here_is_told_with_those_that_are(device: str) -> None:
    with pytest.raises(ConfigError, match=rf"runtime.device={device}.*available: auto, cpu"):
        resolve_device(**SETTINGS | {"device": device})


def test_the_policy_is_applied_and_bf16_autocasts() -> None:
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    device = resolve_device(**SETTINGS | {"precision": "bf16", "threads": 1})
    try:
        device.apply()
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
    with device.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with resolve_device(**SETTINGS).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
