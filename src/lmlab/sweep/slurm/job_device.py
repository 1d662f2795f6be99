"""What a run computes with in its job, as the machine that submits it knows it."""

from __future__ import annotations

import torch

from lmlab.config.run_config import RunConfig
from lmlab.runs import auto_settings
from lmlab.runtime.device import Device
from lmlab.runtime.precision import FULL_PRECISION, PrecisionPolicy


def device_of(config: RunConfig) -> Device:
    """What a settled configuration computes with; a GPU need not be here."""
    runtime = config.runtime
    if runtime.device == "cpu":
        return auto_settings.build_device(config)
    # What a probe on CUDA finds.
    products = "high" if runtime.policy == "fast" else FULL_PRECISION
    return Device(
        device=torch.device(runtime.device),
        policy=PrecisionPolicy(runtime.policy, products),
        compile=bool(runtime.compile),
        threads=int(runtime.threads),
    )
