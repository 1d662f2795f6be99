"""Where and how a run computes: device, precision, threads, compilation, determinism."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Any

import torch

from lmlab.errors import ConfigError

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
    """The resolved numerical policy and place of a run.

    Attributes:
        device: where tensors live.
        precision: ``fp32`` or ``bf16`` (autocast: products in bfloat16, weights in float32).
        tf32: whether float32 products on CUDA may use TF32; False elsewhere.
        compile: whether the model goes through ``torch.compile``.
        threads: CPU threads inside one operation; ranks on the same cores share them.
        deterministic: whether torch refuses operations that are not bitwise repeatable.
    """

    device: torch.device
    precision: str
    tf32: bool
    compile: bool
    threads: int
    deterministic: bool

    def apply(self, core_sharers: int = 1) -> None:
        """Set the process-wide torch switches of this policy.

        Args:
            core_sharers: processes of this run that compute on the same cores.
        """
        torch.set_num_threads(max(1, self.threads // core_sharers))
        if self.deterministic and self.device.type == "cuda":
            # cuBLAS reads it when its first handle is made, and is not repeatable without it.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(self.deterministic)
        # Torch would also fill all fresh memory with NaN, a tenth of a small CPU step, to expose
        # operations that read it before writing; none here does.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = self.tf32
            torch.backends.cudnn.allow_tf32 = self.tf32

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which forward passes run."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def identity(self) -> dict[str, Any]:
        """What of this policy changes the result, and so belongs to a run's identity.

        The device's index does not; threads do on a CPU, where they order the sums.
        """
        cpu = self.device.type == "cpu"
        return {
            "device_type": self.device.type,
            "precision": self.precision,
            "tf32": self.tf32,
            "compile": self.compile,
            "threads": self.threads if cpu else None,
            "deterministic": self.deterministic,
        }

    def name(self) -> str:
        """The device as a person calls it, for example ``NVIDIA H200`` or ``cpu``."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return self.device.type

    def peak_flops(self) -> float | None:
        """Peak FLOP/s at this precision where it is known; None elsewhere (no MFU is shown)."""
        if self.device.type != "cuda" or self.precision != "bf16":
            return None
        name = self.name()
        return next((peak for key, peak in PEAK_BF16_FLOPS.items() if key in name), None)


def resolve_device(
    *,
    device: str,
    precision: str,
    tf32: bool,
    compile: str,
    threads: int | str,
    deterministic: bool,
) -> Device:
    """Turn the settings of ``runtime`` into a :class:`Device` that exists on this machine.

    ``auto`` means: device CUDA, else MPS, else CPU; precision bf16 on CUDA devices that have it,
    else fp32; compile on CUDA only, where Inductor repays its compilation within a normal run;
    threads as many as this process may use.

    Raises:
        ConfigError: the device does not exist here, or cannot compute in this precision.
    """
    place = _resolve_place(device)
    if precision == "auto":
        capable = place.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if capable else "fp32"
    if threads == "auto":
        threads = usable_cores()
    return Device(
        device=place,
        precision=precision,
        tf32=tf32 and place.type == "cuda",
        compile=compile == "true" or (compile == "auto" and place.type == "cuda"),
        threads=int(threads),
        deterministic=deterministic,
    )


def _resolve_place(device: str) -> torch.device:
    available = {"cpu": 1, "mps": int(torch.backends.mps.is_available())}
    available["cuda"] = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    kind, _, index = device.partition(":")
    if int(index or 0) >= available.get(kind, 0):
        here = ["auto", "cpu", *(["mps"] if available["mps"] else [])]
        here += [f"cuda:{i}" for i in range(available["cuda"])]
        raise ConfigError(
            f"runtime.device={device}: there is no such device here; "
            f"available: {', '.join(here)}; choose one of these or leave runtime.device=auto"
        )
    return torch.device(device)


def usable_cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device's or the machine's memory did not suffice."""
    # On a CPU torch has no class of its own for it.
    on_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return on_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)
