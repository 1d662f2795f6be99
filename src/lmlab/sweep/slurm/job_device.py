"""The device that a run computes on in its job, as the submitting machine knows it."""

from __future__ import annotations

import torch

from lmlab.config.run_config import RunConfig
from lmlab.runs import auto_settings
from lmlab.runtime.device import Device
from lmlab.runtime.precision import FULL_PRECISION, PrecisionPolicy


def job_device(config: RunConfig) -> Device:
    """Return the device of a resolved configuration; this machine need not have its GPU."""
    runtime = config.runtime
    if runtime.device == "cpu":
        return auto_settings.build_device(config)
    # What probing a CUDA device finds.
    products = "high" if runtime.policy == "fast" else FULL_PRECISION
    return Device(
        device=torch.device(runtime.device),
        policy=PrecisionPolicy(runtime.policy, products),
        compile=bool(runtime.compile),
        threads=int(runtime.threads),
    )
