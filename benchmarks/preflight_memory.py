"""Compare predicted and actual peak memory and largest batch on a GPU.

python benchmarks/preflight_memory.py

For each model, a few real steps are measured at one batch size. From them, the peaks at other batch
sizes and the largest batch in a part of the memory are predicted and then tried. The last column
but one compares the peak counted without any step with that of eager execution.
"""

from __future__ import annotations

import dataclasses
import gc
import sys

import torch

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig
from lmlab.console.formatting import format_bytes
from lmlab.preflight.calibration import Calibration
from lmlab.preflight.forecast import costs_of, largest_pass
from lmlab.preflight.measurement import calibrate
from lmlab.runs import auto_settings
from lmlab.runtime.device import is_out_of_memory

CASES = {"small_17m": (32, (64, 128, 256)), "gpt2_small": (4, (8, 16))}
SHARE = 0.25  # of the device memory, which the largest batch must fit


def configured(model: str, batch: int, compiled: bool) -> RunConfig:
    """The configuration of a short run."""
    return compose(
        [
            f"model={model}", f"training.batch_size={batch}", "training.steps=100",
            "schedule.warmup_steps=1", "validation.batch_size=1", "samples.prompts=[]",
            "runtime.device=cuda", f"runtime.compile={str(compiled).lower()}", "logger=none",
        ]
    )  # fmt: skip


def measure(model: str, batch: int, compiled: bool) -> Calibration | None:
    """Measure a few steps; None where they do not fit."""
    config = configured(model, batch, compiled)
    device = auto_settings.build_device(config)
    device.apply()
    torch.compiler.reset()
    try:
        return calibrate(resolve(config), device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def row(*cells: object) -> None:
    """Print one line of the table."""
    print("  ".join(f"{cell!s:>14}" for cell in cells), flush=True)


def compare(model: str, first: int, batches: tuple[int, ...], compiled: bool) -> None:
    """Compare the peaks at several batch sizes with those predicted from the first."""
    known = measure(model, first, compiled)
    assert known is not None and known.peak_bytes is not None
    mode = "compiled" if compiled else "eager"
    for batch in batches:
        config = configured(model, batch, compiled)
        costs = costs_of(resolve(config).workload, auto_settings.build_device(config))
        assert costs is not None
        held = costs.memory
        fixed = held.parameters + held.optimizer + held.workspace
        predicted = fixed + (known.peak_bytes - fixed) * batch // first
        found = measure(model, batch, compiled)
        if found is None or found.peak_bytes is None:
            row(model, mode, batch, format_bytes(predicted), "does not fit", "", "", "")
            continue
        counted = "" if compiled else f"{held.training / found.peak_bytes:.3f}"
        row(model, mode, batch, format_bytes(predicted), format_bytes(found.peak_bytes),
            f"{predicted / found.peak_bytes:.3f}", counted, f"{found.step:.4f} s")  # fmt: skip
    fill(model, first, known, compiled)


def fill(model: str, first: int, known: Calibration, compiled: bool) -> None:
    """Try the predicted largest batch, and one 15 % larger, in a part of the memory."""
    config = configured(model, first, compiled)
    costs = costs_of(resolve(config).workload, auto_settings.build_device(config))
    assert costs is not None
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(SHARE)
    largest = largest_pass(costs, dataclasses.replace(known, sequences=first), int(SHARE * total))
    results = {
        batch: "fits" if measure(model, batch, compiled) is not None else "does not fit"
        for batch in (largest, int(1.15 * largest) + 1)
    }
    torch.cuda.set_per_process_memory_fraction(1.0)
    shown = ", ".join(f"{batch} sequences: {result}" for batch, result in results.items())
    print(f"    largest batch of {model} in {format_bytes(SHARE * total)}: {shown}", flush=True)


def main() -> int:
    """Measure and print."""
    if not torch.cuda.is_available():
        print("error: this benchmark needs a CUDA GPU", file=sys.stderr)
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    row("model", "", "batch", "predicted", "actual", "ratio", "counted/actual", "step")
    for model, (first, batches) in CASES.items():
        for compiled in (False, True):
            compare(model, first, batches, compiled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
