"""Predict the time, peak memory and disk space of a run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from lmlab.accounting.cost_report import CostOptions, compute_settings
from lmlab.accounting.disk import run_folder_bytes
from lmlab.accounting.memory import ComputeSettings, MemoryEstimate, estimate_memory, largest_batch
from lmlab.accounting.model_counts import ModelCounts, count_model, count_optimizer
from lmlab.accounting.target_counts import UnknownCostError
from lmlab.build.run_data import RunData
from lmlab.build.workload import RunWorkload
from lmlab.console.formatting import format_bytes, format_count, format_duration
from lmlab.data.mixed_tokens import evaluated_parts
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.optim.optimizer_counts import OptimizerCounts
from lmlab.preflight import machine_resources
from lmlab.preflight.calibration import Calibration
from lmlab.runtime.device import Device

STARTUP_SECONDS = 0.2  # of a run: initial weights, provenance, the files of its folder


@dataclasses.dataclass(frozen=True)
class Costs:
    """What a run costs, counted without running it.

    Attributes:
        model: counts of the model.
        optimizer: counts of the optimizer.
        compute: precision and kernels that the counts assume.
        memory: bytes, by part.
        disk_left: bytes on disk at the end.
        disk_most: bytes on disk at the peak, while saving.
    """

    model: ModelCounts
    optimizer: OptimizerCounts
    compute: ComputeSettings
    memory: MemoryEstimate
    disk_left: int
    disk_most: int


def costs_of(
    workload: RunWorkload,
    device: Device,
    comm: Communicator = SINGLE_PROCESS,
    optimizer: OptimizerCounts | None = None,
) -> Costs | None:
    """Count what a run costs; None where one of its components has no counts.

    Args:
        workload: of the run, or of one of its ranks.
        device: where the run computes.
        comm: of the ranks that share the run.
        optimizer: measured counts of the optimizer, if it has none of its own.
    """
    settings = workload.accounting_settings()
    try:
        model = count_model(workload.model, workload.windows)
        optimizer = optimizer or count_optimizer(workload.optim, model)
    except UnknownCostError:
        return None
    compute = dataclasses.replace(
        compute_settings(settings, device.device.type, CostOptions(), device.policy.name),
        optimizer_shards=comm.optimizer_shards,
        gradient_shards=comm.gradient_shards,
    )
    needed = estimate_memory(
        model, optimizer, compute, micro_batch=workload.pass_size,
        passes=workload.batch_size // workload.pass_size,
        validation_batch=workload.validation_batch_size,
    )  # fmt: skip
    left, most = run_folder_bytes(settings, model, optimizer)
    return Costs(model, optimizer, compute, needed, left, most)


@dataclasses.dataclass(frozen=True)
class Seconds:
    """Predicted time of the remaining run, by part.

    Attributes:
        training: updates.
        evaluation: evaluations.
        saving: checkpoints and best weights.
        samples: the texts at the end.
    """

    training: float
    evaluation: float
    saving: float
    samples: float

    @property
    def total(self) -> float:
        """All parts and the start-up of the run."""
        parts = self.training + self.evaluation + self.saving + self.samples
        return STARTUP_SECONDS + parts


def seconds_of(
    workload: RunWorkload, data: RunData, measured: Calibration, steps_done: int = 0
) -> Seconds:
    """Predict the remaining time of a run after ``steps_done`` steps."""
    parts = evaluated_parts(
        data.valid,
        context_length=workload.context_length,
        max_tokens=workload.validation_max_tokens,
    )
    # A forward pass takes about as long as its tokens.
    further = sum(task.num_tokens for task in data.tasks) / workload.context_length
    windows = sum(len(part.windows) for part in parts)
    batches = (windows + further) / workload.validation_batch_size
    evaluations = _occurrences(workload.steps, workload.validate_every, steps_done)
    saves = _occurrences(workload.steps, workload.save_every, steps_done)
    saves += sum(
        steps_done < step < workload.steps and step % workload.save_every != 0
        for step in set(workload.keep_steps)
    )
    first = 1 if steps_done == 0 else 0  # the initial weights are evaluated, too
    length = workload.sample_tokens if workload.num_samples else 0
    return Seconds(
        training=(workload.steps - steps_done) * measured.step,
        evaluation=(evaluations + first) * batches * measured.evaluation,
        saving=saves * measured.saving + evaluations * measured.saving_best,
        samples=length * measured.token,
    )


def steps_within(
    workload: RunWorkload, data: RunData, measured: Calibration, seconds: float
) -> int:
    """Return the most steps of a run that is predicted to take at most ``seconds``; 0 if none."""

    def fits(steps: int) -> bool:
        longer = dataclasses.replace(workload, steps=steps)
        return seconds_of(longer, data, measured).total <= seconds

    least, most = 0, 1
    while fits(most):
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least


def _occurrences(steps: int, every: int, steps_done: int) -> int:
    """How often something is due after ``steps_done``: at multiples, and at the last step."""
    return math.ceil(steps / every) - steps_done // every if steps > steps_done else 0


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The prediction that is shown before a run and compared with the run afterwards.

    Attributes:
        seconds: of the remaining run; None where nothing was measured.
        peak_bytes: peak memory, as :func:`lmlab.preflight.machine_resources.peak_bytes` counts it.
        disk_bytes: size of the run folder at the end.
        source: what the time is derived from.
        largest: most sequences per forward pass that fit free memory.
    """

    seconds: Seconds | None
    peak_bytes: int | None
    disk_bytes: int | None
    source: str
    largest: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for ``preflight.json``."""
        parts = {} if self.seconds is None else dataclasses.asdict(self.seconds)
        return {
            "seconds": None if self.seconds is None else round(self.seconds.total, 3),
            **{f"{name}_seconds": round(value, 3) for name, value in parts.items()},
            "peak_bytes": self.peak_bytes,
            "disk_bytes": self.disk_bytes,
            "source": self.source,
        }

    def summary(self, device: Device, output_root: Path) -> str:
        """Describe the prediction in one line, beside what is free."""
        parts = []
        if self.seconds is not None:
            parts.append(f"about {format_duration(self.seconds.total)} ({self.source})")
        if self.peak_bytes is not None:
            free = machine_resources.free_memory(device.device)
            available = "" if free is None else f", {format_bytes(free)} free"
            if self.largest is not None:
                available += f" (passes of up to {format_count(self.largest, 'sequence')} fit)"
            parts.append(f"peak memory {format_bytes(self.peak_bytes)}{available}")
        if self.disk_bytes is not None:
            free = machine_resources.free_disk(output_root)
            parts.append(f"disk {format_bytes(self.disk_bytes)}, {format_bytes(free)} free")
        return "; ".join(parts) or "no cost estimate for this model"


def largest_pass(costs: Costs, measured: Calibration | None, free: int) -> int:
    """Return the most sequences of one forward pass that fit ``free`` bytes; 0 where none does.

    Where the peak of a pass was measured, as on CUDA, memory per sequence is derived from it.
    """
    if measured is None or measured.peak_bytes is None:
        return largest_batch(costs.model, costs.optimizer, costs.compute, free)
    needed = costs.memory
    fixed = needed.parameters + needed.optimizer + needed.workspace
    per_sequence = max(1, (measured.peak_bytes - fixed) // measured.sequences)
    return max(0, (free - fixed) // per_sequence)


def forecast(
    workload: RunWorkload,
    device: Device,
    data: RunData,
    costs: Costs | None,
    measured: Calibration | None,
    steps_done: int,
    baseline_bytes: int,
) -> Forecast:
    """Predict a run.

    Args:
        workload: of the run, or of one of its ranks.
        device: where the run computes.
        data: of the run.
        costs: counted for the workload; None where they are unknown.
        measured: times of the workload on the device; None where they are unknown.
        steps_done: steps of the checkpoint that the run resumes from.
        baseline_bytes: memory in use before the run.
    """
    saving = 0 if costs is None else costs.memory.saving
    peak = None if costs is None else costs.memory.peak + saving
    if measured is not None and measured.peak_bytes is not None:
        peak = measured.peak_bytes
        if costs is not None:
            if workload.pass_size < workload.batch_size:
                peak += costs.memory.gradients
            peak = max(peak, costs.memory.validation)
    free = machine_resources.free_memory(device.device)
    return Forecast(
        largest=None
        if costs is None or free is None
        else largest_pass(costs, measured, free - saving),
        seconds=None if measured is None else seconds_of(workload, data, measured, steps_done),
        peak_bytes=None if peak is None else peak + baseline_bytes,
        disk_bytes=None if costs is None else costs.disk_left,
        source="" if measured is None else measured.source,
    )
