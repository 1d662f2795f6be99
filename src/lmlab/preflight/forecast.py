"""What a run will take: time, memory and disk, part by part."""

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
from lmlab.config.run_config import RunConfig
from lmlab.console.formatting import format_bytes, format_duration
from lmlab.data.batches import validation_windows
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.optim.counts import OptimizerCounts
from lmlab.preflight import machine_resources
from lmlab.preflight.calibration import Calibration
from lmlab.runtime.device import Device

BEGINNING_SECONDS = 0.2  # of a run: first weights, provenance, its folder's files


@dataclasses.dataclass(frozen=True)
class Costs:
    """What can be told of a run without running anything; all None for variants not counted.

    Attributes:
        model: its counts.
        optimizer: its counts.
        how: it computes.
        memory: by part.
        disk_left: bytes at the end.
        disk_most: bytes while saving.
    """

    model: ModelCounts
    optimizer: OptimizerCounts
    how: ComputeSettings
    memory: MemoryEstimate
    disk_left: int
    disk_most: int


def costs_of(
    config: RunConfig, device: Device, comm: Communicator = SINGLE_PROCESS
) -> Costs | None:
    """Count a run, as one of its ranks has it; None where a variant of it has no counts.

    Args:
        config: of the run, or a rank's share of it.
        device: that it computes on.
        comm: that share it.
    """
    content = config.as_dict()
    try:
        model = count_model(content["model"])
        optimizer = count_optimizer(content["optim"], model)
    except UnknownCostError:
        return None
    how = compute_settings(content, device.device.type, CostOptions(), device.policy.name)
    training = config.training
    micro = training.micro_batch_size or training.batch_size
    how = dataclasses.replace(
        how, optimizer_shards=comm.optimizer_shards, gradient_shards=comm.gradient_shards
    )
    held = estimate_memory(
        model, optimizer, how, micro_batch=micro, passes=training.batch_size // micro,
        validation_batch=config.validation.batch_size,
    )  # fmt: skip
    left, most = run_folder_bytes(content, model, optimizer)
    return Costs(model, optimizer, how, held, left, most)


@dataclasses.dataclass(frozen=True)
class Seconds:
    """Time of the rest of a run, by part.

    Attributes:
        training: updates.
        evaluation: on held-out text.
        saving: checkpoints and best weights.
        samples: the texts at the end.
    """

    training: float
    evaluation: float
    saving: float
    samples: float

    @property
    def whole(self) -> float:
        """All parts together, and what a run begins with."""
        parts = self.training + self.evaluation + self.saving + self.samples
        return BEGINNING_SECONDS + parts


def seconds_of(config: RunConfig, texts: RunData, measured: Calibration, done: int = 0) -> Seconds:
    """Predict the time of a run that has ``done`` steps behind it."""
    training, steps = config.training, config.training.steps
    windows = validation_windows(
        texts.valid.tokens,
        context_length=config.model.context_length,
        max_tokens=config.validation.max_tokens,
    )
    batches = len(windows) / config.validation.batch_size
    evaluations = _times(steps, config.validation.every_steps, done)
    saves = _times(steps, config.checkpoint.every_steps, done)
    first = 1 if done == 0 else 0  # the weights before the first step are evaluated too
    settings = config.samples
    length = settings.max_new_tokens if settings.prompts and settings.count else 0
    return Seconds(
        training=(training.steps - done) * measured.step,
        evaluation=(evaluations + first) * batches * measured.evaluation,
        saving=saves * measured.saving + evaluations * measured.saving_best,
        samples=length * measured.token,
    )


def _times(steps: int, every: int, done: int) -> int:
    """How often something is due after step ``done``: at multiples, and at the last step."""
    return math.ceil(steps / every) - done // every if steps > done else 0


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What is told before a run, and compared with what it took.

    Attributes:
        seconds: of the rest of the run; None where nothing was measured.
        peak_bytes: memory at the peak, as :func:`lmlab.preflight.machine_resources.peak_bytes` counts it.
        disk_bytes: of the run's folder at the end.
        source: what the time is taken from.
        largest: sequences of one pass that free memory holds.
    """

    seconds: Seconds | None
    peak_bytes: int | None
    disk_bytes: int | None
    source: str
    largest: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``preflight.json``."""
        parts = {} if self.seconds is None else dataclasses.asdict(self.seconds)
        return {
            "seconds": None if self.seconds is None else round(self.seconds.whole, 3),
            **{f"{name}_seconds": round(value, 3) for name, value in parts.items()},
            "peak_bytes": self.peak_bytes,
            "disk_bytes": self.disk_bytes,
            "source": self.source,
        }

    def told(self, config: RunConfig, device: Device) -> str:
        """One line for a person."""
        said = []
        if self.seconds is not None:
            said.append(f"about {format_duration(self.seconds.whole)} ({self.source})")
        if self.peak_bytes is not None:
            free = machine_resources.free_memory(device.device)
            beside = "" if free is None else f", {format_bytes(free)} free"
            if self.largest is not None:
                beside += f" (passes of up to {self.largest:,} sequences fit)"
            said.append(f"peak memory {format_bytes(self.peak_bytes)}{beside}")
        if self.disk_bytes is not None:
            free = machine_resources.free_disk(Path(config.output_root))
            said.append(f"disk {format_bytes(self.disk_bytes)}, {format_bytes(free)} free")
        return "; ".join(said) or "nothing is known of this model beforehand"


def largest_pass(costs: Costs, measured: Calibration | None, free: int) -> int:
    """The most sequences of one forward pass that ``free`` bytes hold; 0 where none does.

    Where the peak of a pass was measured, as on CUDA, what a sequence takes is read off it.
    """
    if measured is None or measured.peak_bytes is None:
        return largest_batch(costs.model, costs.optimizer, costs.how, free)
    held = costs.memory
    fixed = held.parameters + held.optimizer + held.workspace
    a_sequence = max(1, (measured.peak_bytes - fixed) // measured.sequences)
    return max(0, (free - fixed) // a_sequence)


def forecast(
    config: RunConfig,
    device: Device,
    texts: RunData,
    costs: Costs | None,
    measured: Calibration | None,
    done: int,
    held_before: int,
) -> Forecast:
    """Put together what is told before a run; ``held_before`` is memory that others hold."""
    saving = 0 if costs is None else costs.memory.saving
    peak = None if costs is None else costs.memory.peak + saving
    if measured is not None and measured.peak_bytes is not None:
        peak = measured.peak_bytes
        if costs is not None:
            micro = config.training.micro_batch_size or config.training.batch_size
            if micro < config.training.batch_size:
                peak += costs.memory.gradients
            peak = max(peak, costs.memory.validation)
    free = machine_resources.free_memory(device.device)
    return Forecast(
        largest=None
        if costs is None or free is None
        else largest_pass(costs, measured, free - saving),
        seconds=None if measured is None else seconds_of(config, texts, measured, done),
        peak_bytes=None if peak is None else peak + held_before,
        disk_bytes=None if costs is None else costs.disk_left,
        source="" if measured is None else measured.source,
    )
