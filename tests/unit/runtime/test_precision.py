from __future__ import annotations

import pytest
import torch

from lmlab.errors import ConfigError
from lmlab.runtime import precision
from lmlab.runtime.precision import matmul_error, resolve_policy

CPU = torch.device("cpu")


def test_auto_on_a_cpu_is_fast_and_records_the_measured_error() -> None:
    found = resolve_policy("auto", CPU)
    assert (found.name, found.precision) == ("fast", "fp32")
    assert found.probe is not None
    assert found.probe["plain_error"] < 1e-6, "float32 has 24 bits"
    assert (found.matmul_precision == "medium") == (found.probe["error"] <= found.probe["bound"])


def test_exact_measures_nothing_and_has_full_precision() -> None:
    found = resolve_policy("exact", CPU)
    assert (found.matmul_precision, found.probe, found.precision) == ("highest", None, "fp32")


def test_a_backend_that_rounds_to_bfloat16_is_rejected(monkeypatch) -> None:
    """CPUs with AMX round under the same setting; the error shows it."""
    errors = {"highest": 2e-7, "medium": 2e-3}
    monkeypatch.setattr(precision, "matmul_error", lambda device, setting: errors[setting])
    assert resolve_policy("fast", CPU).matmul_precision == "highest"
    errors["medium"] = 4e-7
    assert resolve_policy("fast", CPU).matmul_precision == "medium"


def test_the_probe_detects_inputs_rounded_to_fewer_bits(monkeypatch) -> None:
    def rounding(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        if left.dtype == torch.float32:
            left, right = left.bfloat16().float(), right.bfloat16().float()
        return torch.matmul(left, right)

    plain = matmul_error(CPU, "highest")
    monkeypatch.setattr(torch.Tensor, "__matmul__", rounding)
    rounded = matmul_error(CPU, "highest")
    assert rounded > precision.CPU_BOUND * plain
    assert rounded > precision.TF32_BOUND


def test_bf16_is_refused_without_hardware_for_it(monkeypatch) -> None:
    monkeypatch.setattr(precision, "supports_bf16", lambda device: False)
    with pytest.raises(
        ConfigError, match=r"runtime\.policy=bf16: expected .*(?s:.)help: set runtime\.policy=fast"
    ):
        resolve_policy("bf16", CPU)


def test_measuring_restores_torchs_setting() -> None:
    before = torch.get_float32_matmul_precision()
    matmul_error(CPU, "medium")
    assert torch.get_float32_matmul_precision() == before
