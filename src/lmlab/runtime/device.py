"""Where and how a run computes: device, numerical policy, threads, compilation."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import torch

from lmlab.errors import ConfigError
from lmlab.runtime.malloc import retain_freed_memory
from lmlab.runtime.precision import PrecisionPolicy, resolve_policy
from lmlab.runtime.processor import usable_cores

# Dense bf16 peak of one device in FLOP/s, from the makers' data sheets (without sparsity).
# Longer names come first where one is a part of another.
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
    """The place of a run, and how it computes there.

    Attributes:
        device: where tensors live.
        policy: in which numbers, by which products.
        compile: whether the step goes through ``torch.compile``.
        threads: CPU threads inside one operation; ranks on the same cores share them.
    """

    device: torch.device
    policy: PrecisionPolicy
    compile: bool
    threads: int

    @property
    def deterministic(self) -> bool:
        """Whether torch refuses operations that are not bitwise repeatable.

        On a CPU that costs little and makes every policy's resumed run end in the same bits; on
        CUDA it costs, and is what ``exact`` is for.
        """
        return self.policy.is_exact or self.device.type == "cpu"

    def apply(self, num_sharing_cores: int = 1) -> None:
        """Set the process-wide torch switches of this run.

        Args:
            num_sharing_cores: processes of the run that compute on the same cores.
        """
        torch.set_num_threads(max(1, self.threads // num_sharing_cores))
        if self.device.type == "cpu":
            retain_freed_memory()
        if self.deterministic and self.device.type == "cuda":
            # cuBLAS reads it when its first handle is made, and is not repeatable without it.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(self.deterministic)
        # Torch would also fill all fresh memory with NaN, a tenth of a small CPU step, to expose
        # operations that read it before writing; none here does.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.set_float32_matmul_precision(self.policy.matmul_precision)

    def identity(self) -> dict[str, Any]:
        """What of this changes the result, and so belongs to a run's identity.

        The device's index does not; threads do on a CPU, where they order the sums.
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
        """The device as a person calls it, for example ``NVIDIA H200`` or ``cpu``."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return self.device.type

    def peak_flops(self) -> float | None:
        """Peak FLOP/s of this policy where it is known; None elsewhere (no MFU is shown)."""
        if self.device.type != "cuda" or self.policy.precision != "bf16":
            return None
        name = self.name()
        return next((peak for key, peak in PEAK_BF16_FLOPS.items() if key in name), None)


def resolve_device(*, device: str, policy: str, compile: bool, threads: int | str) -> Device:
    """Turn the settings of ``runtime`` into a :class:`Device` that exists on this machine.

    ``auto`` means: device CUDA, else MPS, else CPU; policy as
    :func:`lmlab.runtime.precision.resolve_policy` says; threads as many as this process may use.

    Raises:
        ConfigError: the device does not exist here, or cannot carry out this policy.
    """
    place = resolve_torch_device(device)
    return Device(
        device=place,
        policy=resolve_policy(policy, place),
        compile=compile,
        threads=usable_cores() if threads == "auto" else int(threads),
    )


def resolve_torch_device(device: str, key: str = "runtime.device") -> torch.device:
    """The device that the setting ``key`` means on this machine. Raises :class:`ConfigError`."""
    available = {"cpu": 1, "mps": int(torch.backends.mps.is_available())}
    available["cuda"] = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    kind, _, index = device.partition(":")
    number = index or "0"
    if not number.isdecimal() or int(number) >= available.get(kind, 0):
        here = ["auto", "cpu", *(["mps"] if available["mps"] else [])]
        here += [f"cuda:{i}" for i in range(available["cuda"])]
        raise ConfigError(
            f"{key}={device}: there is no such device here; available: {', '.join(here)}; "
            f"choose one of these or leave {key}=auto"
        )
    return torch.device(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device's or the machine's memory did not suffice."""
    # On a CPU torch has no class of its own for it.
    on_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return on_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)
