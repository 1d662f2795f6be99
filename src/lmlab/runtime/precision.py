"""Precision policies: the number formats a run computes in, and how they are chosen.

======= =================================================================================
name    computes
======= =================================================================================
exact   float32 at full precision; the same settings give the same bits
fast    float32 by the fastest backend whose error, measured at start-up, is within bounds;
        on a CPU its speed is measured for the shape of the run
bf16    matrix products and activations in bfloat16 (8 bits of precision) from float32
        weights; norms, softmax and loss in float32
======= =================================================================================
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from lmlab.errors import ConfigError

FULL_PRECISION = "highest"
TIMED_ROUNDS = 3
POLICIES = ("exact", "fast", "bf16")
# Shape of the probe: sums as long as those in the matrix products of a small model.
ROWS, SUM_LENGTH, COLUMNS = 256, 1024, 256
# A backend that sums in another order or fuses operations has about the error of full precision,
# within a small factor. One that rounds its inputs to bfloat16 has a thousand times that error.
CPU_BOUND = 8.0  # times the error of full precision
# TF32 has 10 fraction bits: a rounded input is off by at most 2^-11, and a sum of such products by
# a fraction of that. The 2^-9 of bfloat16 exceeds this bound.
TF32_BOUND = 2.0**-11  # relative to the size of the sum


@dataclasses.dataclass(frozen=True)
class PrecisionPolicy:
    """A precision policy resolved for this machine.

    Attributes:
        name: one of :data:`POLICIES`.
        matmul_precision: torch's float32 matmul precision: ``highest``, ``high`` or ``medium``.
        probe: errors measured at start-up; None if there was no choice.
    """

    name: str
    matmul_precision: str = FULL_PRECISION
    probe: dict[str, float] | None = None

    @property
    def precision(self) -> str:
        """Number format of matrix products and activations: ``fp32`` or ``bf16``."""
        return "bf16" if self.name == "bf16" else "fp32"

    @property
    def is_exact(self) -> bool:
        """Whether every operation is torch's own, at full precision."""
        return self.name == "exact"

    def as_dict(self) -> dict[str, Any]:
        """Return the policy as JSON values for ``meta.json``."""
        return {"name": self.name, "products": self.matmul_precision, "probe": self.probe}


def resolve_policy(name: str, device: torch.device) -> PrecisionPolicy:
    """Resolve the policy ``name`` on ``device``, measuring errors if there is a choice.

    ``auto`` is the fastest policy that the parity study allows: bf16 on CUDA devices that support
    it, otherwise fast; fast on a CPU; exact on MPS, which has one float32 backend.

    Raises:
        ConfigError: the device has no bfloat16 hardware.
    """
    if name == "auto":
        name = _fastest(device)
    if name == "bf16" and not supports_bf16(device):
        raise ConfigError(
            f"runtime.policy=bf16: expected a {device.type} device with bfloat16 instructions; "
            "without them bf16 is slow",
            "set runtime.policy=fast, or leave it at auto",
        )
    if name != "fast" or device.type == "mps":
        return PrecisionPolicy(name)
    return _probed(device)


def _fastest(device: torch.device) -> str:
    if device.type == "cuda":
        return "bf16" if supports_bf16(device) else "fast"
    return "fast" if device.type == "cpu" else "exact"


def supports_bf16(device: torch.device) -> bool:
    """Return whether ``device`` multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Private, but torch's only report of it; False where a version of torch lacks it.
        names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, name, bool)()) for name in names)
    return False


def _probed(device: torch.device) -> PrecisionPolicy:
    """Resolve ``fast``: the faster matmul precision if its error is within bounds."""
    faster = "medium" if device.type == "cpu" else "high"
    plain, error = matmul_error(device, FULL_PRECISION), matmul_error(device, faster)
    bound = CPU_BOUND * plain if device.type == "cpu" else TF32_BOUND
    probe = {"plain_error": plain, "error": error, "bound": bound}
    return PrecisionPolicy("fast", faster if error <= bound else FULL_PRECISION, probe)


@torch.no_grad()
def matmul_error(device: torch.device, matmul_precision: str) -> float:
    """Measure the error of a matrix product against float64.

    Args:
        device: device that computes the product.
        matmul_precision: torch's setting: ``highest``, ``high`` or ``medium``.

    Returns:
        Root mean square of the error divided by that of the product.
    """
    previous = torch.get_float32_matmul_precision()
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(ROWS, SUM_LENGTH, generator=generator)
    right = torch.randn(SUM_LENGTH, COLUMNS, generator=generator)
    exact = left.double() @ right.double()
    try:
        torch.set_float32_matmul_precision(matmul_precision)
        found = (left.to(device) @ right.to(device)).cpu().double()
    finally:
        torch.set_float32_matmul_precision(previous)
    return float((found - exact).square().mean().sqrt() / exact.square().mean().sqrt())


def time_matmuls(step: Callable[[], object], settings: Sequence[str]) -> dict[str, float]:
    """Measure the duration of a step under several matmul precisions.

    Args:
        step: the computation to measure.
        settings: torch's settings: ``highest``, ``high`` or ``medium``.

    Returns:
        Seconds by setting: the minimum of a few alternating measurements after a warm-up.
    """
    previous = torch.get_float32_matmul_precision()
    durations: dict[str, list[float]] = {setting: [] for setting in settings}
    try:
        for _ in range(1 + TIMED_ROUNDS):
            for setting, seconds in durations.items():
                torch.set_float32_matmul_precision(setting)
                started = time.perf_counter()
                step()
                seconds.append(time.perf_counter() - started)
    finally:
        torch.set_float32_matmul_precision(previous)
    return {setting: min(seconds[1:]) for setting, seconds in durations.items()}
