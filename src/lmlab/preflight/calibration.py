"""What was measured of a configuration's shape on a device, kept below ``outputs/cache``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from lmlab.build.identity import NUMERICS_VERSIONS
from lmlab.config.run_config import RunConfig
from lmlab.runtime.device import Device
from lmlab.runtime.processor import cpu_name
from lmlab.storage.io import hash_json, read_json, write_json

FORMAT_VERSION = 1
LEARNED_STEPS = 30  # of a run, from which its own time is the better measure


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Seconds of the parts of a run, measured.

    Attributes:
        step: one update of the whole batch.
        evaluation: one batch of an evaluation.
        saving: one checkpoint.
        saving_best: one set of weights.
        token: one token of all samples at once.
        peak_bytes: device memory at the peak of an update, on CUDA.
        steps: updates that were timed.
        sequences: of each of them.
        source: what was measured, for people.
    """

    step: float
    evaluation: float
    saving: float
    saving_best: float
    token: float
    peak_bytes: int | None
    steps: int
    sequences: int
    source: str


def shape_key(config: RunConfig, device: Device) -> str:
    """A hash of everything that the time of a run's parts depends on."""
    optim = {key: value for key, value in config.optim.as_dict().items() if key != "lr"}
    model = {key: value for key, value in config.model.as_dict().items() if key != "init"}
    return hash_json(
        {
            "format_version": FORMAT_VERSION,
            "numerics": NUMERICS_VERSIONS[device.device.type],
            "torch": torch.__version__,
            "model": model,
            "optim": optim,
            "batch": [config.training.batch_size, config.training.micro_batch_size],
            "validation": config.validation.batch_size,
            "samples": len(config.samples.prompts) * config.samples.count,
            "device": device.identity() | {"name": device.name(), "cpu": cpu_name()},
            "beside": config.runtime.beside,
        }
    )


def calibration_file(config: RunConfig, device: Device) -> Path:
    """Where the calibration of this shape and device is kept."""
    key = shape_key(config, device)[:24]
    return config.cache_folder / "calibrations" / f"{key}.json"


def known_calibration(config: RunConfig, device: Device) -> Calibration | None:
    """What was measured before for this shape and device."""
    try:
        return Calibration(**read_json(calibration_file(config, device)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def learn(config: RunConfig, device: Device, step_seconds: float, steps: int) -> None:
    """Keep the time of a step that a run of this shape has really taken."""
    known = known_calibration(config, device)
    if known is not None and steps >= LEARNED_STEPS:
        told = f"a run of {steps:,} steps on this device"
        better = dataclasses.replace(known, step=step_seconds, steps=steps, source=told)
        write_json(calibration_file(config, device), dataclasses.asdict(better))
