"""Numerical policies: in which numbers a run computes, and how that was chosen.

======= =================================================================================
name    what it promises
======= =================================================================================
exact   float32 products of full precision; the same settings give the same bits
fast    float32 through the faster of the backends whose error, measured at the start, is in
        bounds; on a CPU measured for the shape of the run
bf16    products and activations in bfloat16 (8 bits of precision) from float32 weights;
        norms, softmax and loss in float32
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
# The shape of the probe: sums as long as those of a small model's products.
ROWS, SUM_LENGTH, COLUMNS = 256, 1024, 256
# A backend that adds float32 products in another order, or fuses them, errs by a small factor more
# or less than the plain product; one that rounds its inputs to bfloat16 errs by a thousandfold.
CPU_BOUND = 8.0  # times the error of the plain product
# TF32 keeps 10 bits behind the leading one, so that a rounded input errs by at most 2^-11, and a
# sum of such products by a fraction of that; bfloat16's 2^-9 is out of this bound.
TF32_BOUND = 2.0**-11  # of the sum's own size


@dataclasses.dataclass(frozen=True)
class PrecisionPolicy:
    """A policy as it is carried out on this machine.

    Attributes:
        name: of :data:`POLICIES`.
        matmul_precision: of float32 products, as torch names it: ``highest``, ``high`` or ``medium``.
        probe: what was measured at the start; None where nothing was to be chosen.
    """

    name: str
    matmul_precision: str = FULL_PRECISION
    probe: dict[str, float] | None = None

    @property
    def precision(self) -> str:
        """Numbers of products and activations: ``fp32`` or ``bf16``."""
        return "bf16" if self.name == "bf16" else "fp32"

    @property
    def is_exact(self) -> bool:
        """Whether each operation is torch's own, so that the bits are those of the equations."""
        return self.name == "exact"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``meta.json``."""
        return {"name": self.name, "products": self.matmul_precision, "probe": self.probe}


def resolve_policy(name: str, device: torch.device) -> PrecisionPolicy:
    """Choose how ``name`` is carried out on ``device``, measuring where there is a choice.

    ``auto`` is the fastest policy that the parity study allows: bf16 on CUDA devices that have it,
    fast on a CPU, exact on MPS, which has one float32 product only.

    Raises:
        ConfigError: the device cannot compute in bfloat16 at the speed that it is chosen for.
    """
    if name == "auto":
        name = _fastest(device)
    if name == "bf16" and not supports_bf16(device):
        raise ConfigError(
            f"runtime.policy=bf16: this {device.type} has no bfloat16 products of its own, and "
            "would compute them slowly; choose runtime.policy=fast, or leave it at auto"
        )
    if name != "fast" or device.type == "mps":
        return PrecisionPolicy(name)
    return _probed(device)


def _fastest(device: torch.device) -> str:
    if device.type == "cuda":
        return "bf16" if supports_bf16(device) else "fast"
    return "fast" if device.type == "cpu" else "exact"


def supports_bf16(device: torch.device) -> bool:
    """Whether ``device`` multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Private, but the only place where torch tells it; without it the answer is no.
        names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, name, bool)()) for name in names)
    return False


def _probed(device: torch.device) -> PrecisionPolicy:
    """The faster float32 product where its error is in bounds, else the plain one."""
    products = "medium" if device.type == "cpu" else "high"
    plain, faster = matmul_error(device, FULL_PRECISION), matmul_error(device, products)
    bound = CPU_BOUND * plain if device.type == "cpu" else TF32_BOUND
    probe = {"plain_error": plain, "error": faster, "bound": bound}
    return PrecisionPolicy("fast", products if faster <= bound else FULL_PRECISION, probe)


@torch.no_grad()
def matmul_error(device: torch.device, products: str) -> float:
    """Error of a product under a setting of torch's, against float64.

    Args:
        device: that multiplies.
        products: ``highest``, ``high`` or ``medium``.

    Returns:
        Root mean square of the error over that of the product.
    """
    former = torch.get_float32_matmul_precision()
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(ROWS, SUM_LENGTH, generator=generator)
    right = torch.randn(SUM_LENGTH, COLUMNS, generator=generator)
    exact = left.double() @ right.double()
    try:
        torch.set_float32_matmul_precision(products)
        found = (left.to(device) @ right.to(device)).cpu().double()
    finally:
        torch.set_float32_matmul_precision(former)
    return float((found - exact).square().mean().sqrt() / exact.square().mean().sqrt())


def time_matmuls(step: Callable[[], object], settings: Sequence[str]) -> dict[str, float]:
    """Seconds of a step under each of torch's settings of float32 products.

    Args:
        step: computes the same under each.
        settings: ``highest``, ``high`` or ``medium``.

    Returns:
        The least of a few, taken in turns after one that is not counted.
    """
    former = torch.get_float32_matmul_precision()
    found: dict[str, list[float]] = {products: [] for products in settings}
    try:
        for _ in range(1 + TIMED_ROUNDS):
            for products, seconds in found.items():
                torch.set_float32_matmul_precision(products)
                started = time.perf_counter()
                step()
                seconds.append(time.perf_counter() - started)
    finally:
        torch.set_float32_matmul_precision(former)
    return {products: min(seconds[1:]) for products, seconds in found.items()}
