"""Measured times of a workload on a device, kept in ``calibrations/`` of the cache folder."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import torch

from lmlab.build.identity import NUMERICS_VERSIONS
from lmlab.build.workload import RunWorkload
from lmlab.config.shared_parameters import CROSS
from lmlab.console.formatting import format_count
from lmlab.errors import DiskError
from lmlab.runtime.device import Device
from lmlab.runtime.processor import cpu_name
from lmlab.storage.io import hash_json
from lmlab.storage.sealed import read_or_discard, write_sealed

FORMAT_VERSION = 1
LEARNED_STEPS = 30  # a run of at least so many steps measures its step time better than a probe


log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Measured times of the parts of a run, in seconds.

    Attributes:
        step: of one update with the full batch.
        evaluation: of one batch of an evaluation.
        saving: of one checkpoint.
        saving_best: of one set of weights.
        token: of one token for all samples at once.
        peak_bytes: device memory at the peak of an update, on CUDA.
        steps: number of timed updates.
        sequences: sequences per timed update.
        source: what was measured, as shown to the user.
        spread: standard deviation of the step time between parts of the measurement, relative to
            its mean; None where it was too short to tell.
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
    spread: float | None = None


def shape_key(workload: RunWorkload, device: Device) -> str:
    """Return a hash of everything that the times of a run's parts depend on."""
    return hash_json(
        {
            "format_version": FORMAT_VERSION,
            "numerics": NUMERICS_VERSIONS[device.device.type],
            "torch": torch.__version__,
            "model": {key: value for key, value in workload.model.items() if key != "init"},
            "optim": {key: value for key, value in workload.optim.items() if key != "lr"},
            "batch": [workload.batch_size, workload.micro_batch_size],
            "validation": workload.validation_batch_size,
            "samples": workload.num_samples,
            "device": device.identity() | {"name": device.name(), "cpu": cpu_name()},
            "beside": workload.concurrent_jobs,
            **({} if workload.windows == CROSS else {"windows": workload.windows}),
        }
    )


def calibration_file(workload: RunWorkload, device: Device, cache_folder: Path) -> Path:
    """Return the path of the calibration of this workload on this device."""
    return cache_folder / "calibrations" / f"{shape_key(workload, device)[:24]}.json"


def read_calibration(path: Path) -> Calibration | None:
    """Read a calibration; None where there is none. Remove a damaged one with a warning."""
    content = read_or_discard(path)
    try:
        return None if content is None else Calibration(**content)
    except TypeError:  # of another version
        return None


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration where the disk allows it; it saves time only."""
    try:
        write_sealed(path, dataclasses.asdict(calibration))
    except DiskError as error:
        log.warning("%s; the next run measures again", error.message)


def update_calibration(path: Path, step_seconds: float, steps: int) -> None:
    """Replace the step time of an existing calibration by that of a run of ``steps`` steps."""
    known = read_calibration(path)
    if known is not None and steps >= LEARNED_STEPS:
        source = f"a run of {format_count(steps, 'step')} on this device"
        better = dataclasses.replace(
            known, step=step_seconds, steps=steps, source=source, spread=None
        )
        write_calibration(path, better)
