"""Where and how a run computes: device, precision policy, threads, compilation."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import torch

from lmlab.errors import ConfigError
from lmlab.runtime.malloc import retain_freed_memory
from lmlab.runtime.precision import PrecisionPolicy, resolve_policy
from lmlab.runtime.processor import usable_cores

# Dense bf16 peak in FLOP/s, from the manufacturers' data sheets (without sparsity). A name that
# contains another precedes it.
PEAK_BF16_FLOPS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
    "RTX 5090": 210e12,
}


@dataclasses.dataclass(frozen=True)
class Device:
    """The device of a run and how it computes there.

    Attributes:
        device: device of the tensors.
        policy: precision policy.
        compile: whether the step is compiled by ``torch.compile``.
        threads: CPU threads per operation, shared by the ranks on the same cores.
    """

    device: torch.device
    policy: PrecisionPolicy
    compile: bool
    threads: int

    @property
    def deterministic(self) -> bool:
        """Whether torch refuses operations that are not deterministic.

        On a CPU this costs little and makes resumed runs bit-identical under every policy. On CUDA
        it costs speed, and only ``exact`` asks for it.
        """
        return self.policy.is_exact or self.device.type == "cpu"

    def apply(self, num_sharing_cores: int = 1) -> None:
        """Apply this run's process-wide settings of torch.

        Args:
            num_sharing_cores: number of ranks that compute on the same cores.
        """
        torch.set_num_threads(max(1, self.threads // num_sharing_cores))
        if self.device.type == "cpu":
            retain_freed_memory()
        if self.deterministic and self.device.type == "cuda":
            # cuBLAS reads it when it creates a handle, and is not deterministic without it.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(self.deterministic)
        # Otherwise torch fills all new memory with NaN, a tenth of a small step on a CPU, to expose
        # reads of uninitialized memory; there are none here.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.set_float32_matmul_precision(self.policy.matmul_precision)

    def identity(self) -> dict[str, Any]:
        """Return the settings that change results, which are part of a run's identity.

        The index of the device is not among them. The number of threads is on a CPU, where it
        determines the order of sums.
        """
        cpu = self.device.type == "cpu"
        return {
            "device_type": self.device.type,
            "policy": self.policy.name,
            "products": self.policy.matmul_precision,
            "compile": self.compile,
            "threads": self.threads if cpu else None,
        }

    def name(self) -> str:
        """Return the product name of a GPU, such as ``NVIDIA H200``; otherwise the device type."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return self.device.type

    def peak_flops(self) -> float | None:
        """Return the peak FLOP/s under this policy; None if unknown, in which case MFU is too."""
        if self.device.type != "cuda" or self.policy.precision != "bf16":
            return None
        name = self.name()
        return next((peak for key, peak in PEAK_BF16_FLOPS.items() if key in name), None)


def resolve_device(*, device: str, policy: str, compile: bool, threads: int | str) -> Device:
    """Resolve the settings of ``runtime`` to a :class:`Device` of this machine.

    ``auto`` is the first available of CUDA, MPS and CPU for ``device``, the choice of
    :func:`lmlab.runtime.precision.resolve_policy` for ``policy``, and the number of usable cores
    for ``threads``.

    Raises:
        ConfigError: this machine lacks the device, or the device does not support the policy.
    """
    torch_device = resolve_torch_device(device)
    return Device(
        device=torch_device,
        policy=resolve_policy(policy, torch_device),
        compile=compile,
        threads=usable_cores() if threads == "auto" else int(threads),
    )


def resolve_torch_device(device: str, key: str = "runtime.device") -> torch.device:
    """Resolve the setting ``key`` to a device of this machine. Raises :class:`ConfigError`."""
    available = {"cpu": 1, "mps": int(torch.backends.mps.is_available())}
    available["cuda"] = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    kind, _, index = device.partition(":")
    number = index or "0"
    if not number.isdecimal() or int(number) >= available.get(kind, 0):
        valid = ["auto", "cpu", *(["mps"] if available["mps"] else [])]
        valid += [f"cuda:{i}" for i in range(available["cuda"])]
        raise ConfigError(
            f"{key}={device}: not available on this machine; expected one of {', '.join(valid)}",
            f"set {key}=cpu or leave it at auto",
        )
    return torch.device(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device or the machine is out of memory."""
    # On a CPU torch raises a plain RuntimeError.
    on_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return on_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)
