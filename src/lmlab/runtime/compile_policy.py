"""Whether a run is compiled: where it is long enough to win back what compiling takes."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from pathlib import Path
from typing import Any

from lmlab.runtime.cpp_extension import find_compiler
from lmlab.storage.io import get_or_create_json, hash_json, read_json

# Seconds that a first compiled step takes more than an eager one: with an empty cache, and with
# one that holds this step's kernels.
COLD_SECONDS, WARM_SECONDS = 45.0, 8.0
# Of an eager step, what compiling saves: on a CPU pointwise work, and attention and loss by kernels
# of our own (small_17m at 8 sequences: 0.17 and 0.24); launches besides on a GPU.
SAVED_SHARE = {("cpu", "fp32"): 0.15, ("cpu", "bf16"): 0.22}
SAVED_SHARE_GPU = 0.3
# FLOP/s of an eager step, for want of a measurement: a CPU's of one thread.
CPU_RATE = {"fp32": 50e9, "bf16": 100e9}
GPU_RATE = 100e12
SAFETY = 1.5  # times its cost must be won, so that a wrong guess makes no run slow


@dataclasses.dataclass(frozen=True)
class Workload:
    """What the decision depends on besides the machine.

    Attributes:
        shape: everything that the compiled kernels depend on, as plain values.
        steps: of the run.
        step_flops: FLOPs of one update; None where they are not counted.
        device_type: ``cpu``, ``cuda`` or ``mps``.
        precision: ``fp32`` or ``bf16``.
        threads: CPU threads of the run.
    """

    shape: Any
    steps: int
    step_flops: int | None
    device_type: str
    precision: str
    threads: int


def should_compile(work: Workload, cache: Path) -> bool:
    """Decide once for a shape and a number of steps, and keep to it.

    Whether a run is compiled changes its last bits, so a rerun, a resumed run and the arms of a
    sweep that share a shape must all find the same answer, though the first of them fills the
    cache: the answer is kept in ``cache``.
    """
    if work.step_flops is None or not has_compiler(work.device_type):
        return False
    folder = cache / "compile" / hash_json(work.shape)[:24]
    return bool(
        get_or_create_json(folder / f"steps-{work.steps}.json", lambda: _weigh(work, folder))[
            "compile"
        ]
    )


def _weigh(work: Workload, folder: Path) -> dict[str, Any]:
    is_warm = any(read_json(path).get("compile") for path in folder.glob("steps-*.json"))
    won, cost = seconds_saved(work), WARM_SECONDS if is_warm else COLD_SECONDS
    return {
        "compile": won > SAFETY * cost, "warm": is_warm, "predicted_cost_seconds": cost,
        "predicted_won_seconds": round(won, 3),
    }  # fmt: skip


def seconds_saved(work: Workload) -> float:
    """Seconds that compiled steps take less over a whole run, compiling left out."""
    assert work.step_flops is not None
    if work.device_type == "cuda":
        return work.steps * work.step_flops / GPU_RATE * SAVED_SHARE_GPU
    rate = CPU_RATE[work.precision] * work.threads
    return work.steps * work.step_flops / rate * SAVED_SHARE[work.device_type, work.precision]


def has_compiler(device_type: str) -> bool:
    """Whether this machine can compile for a device: C++ on a CPU, Triton on CUDA."""
    if device_type == "cuda":
        return importlib.util.find_spec("triton") is not None
    if device_type != "cpu":
        return False
    return find_compiler() is not None


def set_inductor_cache(cache: Path) -> None:
    """Let Inductor keep its kernels below ``cache``, for all runs, unless the user says where."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((cache / "inductor").resolve()))
