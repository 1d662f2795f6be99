"""Whether to compile a run: only if it is long enough to save more time than compiling takes."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from lmlab.runtime.cpp_extension import find_compiler
from lmlab.storage.io import hash_json
from lmlab.storage.sealed import get_or_create, read_stored

# Seconds by which a first compiled step exceeds an eager one: with an empty cache, and with one
# that contains the kernels of this step.
COLD_SECONDS, WARM_SECONDS = 45.0, 8.0
# Fraction of an eager step that compiling saves: on a CPU pointwise operations, and attention and
# loss by this package's kernels (small_17m at 8 sequences: 0.17 and 0.24); on a GPU launches too.
SAVED_FRACTION = {("cpu", "fp32"): 0.15, ("cpu", "bf16"): 0.22}
SAVED_FRACTION_GPU = 0.3
# Assumed FLOP/s of an eager step: of one CPU thread, and of a GPU.
CPU_RATE = {"fp32": 50e9, "bf16": 100e9}
GPU_RATE = 100e12
_ANSWER = frozenset({"compile", "warm", "predicted_cost_seconds", "predicted_won_seconds"})
SAFETY = 1.5  # savings must exceed the cost by this factor, in case the estimate is wrong


@dataclasses.dataclass(frozen=True)
class Workload:
    """A run, as far as the decision depends on it.

    Attributes:
        shape: everything that the compiled kernels depend on, as plain values.
        steps: number of updates.
        step_flops: FLOPs per update; None if unknown.
        device_type: ``cpu``, ``cuda`` or ``mps``.
        precision: ``fp32`` or ``bf16``.
        threads: number of CPU threads.
    """

    shape: Any
    steps: int
    step_flops: int | None
    device_type: str
    precision: str
    threads: int


def should_compile(work: Workload, cache: Path) -> bool:
    """Return whether to compile a run: one answer per shape and number of steps.

    Compilation changes the last bits of a run. A rerun, a resumed run and the arms of a sweep that
    share a shape must therefore get the same answer, although the first of them fills the cache of
    kernels. So the answer is stored.

    Args:
        work: the run.
        cache: folder that stores the answers.
    """
    if work.step_flops is None or not has_compiler(work.device_type):
        return False
    folder = cache / "compile" / hash_json(work.shape)[:24]
    path = folder / f"steps-{work.steps}.json"
    return bool(get_or_create(path, lambda: _estimate(work, folder), _ANSWER)["compile"])


def _estimate(work: Workload, folder: Path) -> dict[str, Any]:
    answers = [read_stored(path, _ANSWER) for path in sorted(folder.glob("steps-*.json"))]
    is_warm = any(answer["compile"] for answer in answers if answer)
    saved, cost = seconds_saved(work), WARM_SECONDS if is_warm else COLD_SECONDS
    return {
        "compile": saved > SAFETY * cost, "warm": is_warm, "predicted_cost_seconds": cost,
        "predicted_won_seconds": round(saved, 3),
    }  # fmt: skip


def seconds_saved(work: Workload) -> float:
    """Return the seconds that compiled steps save over the run, without the cost of compiling."""
    assert work.step_flops is not None
    if work.device_type == "cuda":
        return work.steps * work.step_flops / GPU_RATE * SAVED_FRACTION_GPU
    rate = CPU_RATE[work.precision] * work.threads
    return work.steps * work.step_flops / rate * SAVED_FRACTION[work.device_type, work.precision]


def has_compiler(device_type: str) -> bool:
    """Return whether compiling for a device is worth considering on this machine."""
    return device_type != "mps" and missing_to_compile(device_type) is None


def missing_to_compile(device_type: str) -> tuple[str, str] | None:
    """Return what torch.compile needs and this machine lacks, and how to get it; None for nothing.

    On a CPU, Inductor's code includes ``Python.h``, which Debian's interpreters come without; on
    CUDA it is Triton code.
    """
    if device_type == "cuda":
        has_triton = importlib.util.find_spec("triton") is not None
        return None if has_triton else ("the package triton", "install it")
    if device_type != "cpu":
        return None
    if find_compiler() is None:
        return "a C++ compiler (CXX, g++, clang++ or c++)", "install one"
    folders = {sysconfig.get_path("include", "posix_prefix"), sysconfig.get_path("include")}
    for variable in ("CPATH", "CPLUS_INCLUDE_PATH"):
        folders.update(filter(None, os.environ.get(variable, "").split(os.pathsep)))
    if any(Path(folder, "Python.h").exists() for folder in folders):
        return None
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-dev"
    return f"Python.h in {min(folders)}", f"install Python's headers (on Debian: {package})"
