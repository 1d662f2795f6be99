"""What makes two runs the same run: everything that changes the result, and nothing else."""

from __future__ import annotations

from typing import Any

from lmlab.build.run_data import RunData
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import RunConfig
from lmlab.runtime.device import Device

# By type of device; raised when a change of the code changes the numbers that a run of the same
# settings computes there.
NUMERICS_VERSIONS = {"cpu": 4, "cuda": 5, "mps": 4}


def run_identity(config: RunConfig, texts: RunData, device: Device) -> dict[str, Any]:
    """Everything that changes the result of a run, and nothing else."""
    return {
        "config": identity_settings(config),
        "train_text": texts.corpus.train_hash,
        "valid_text": texts.corpus.valid_hash,
        "tokenizer": texts.tokenizer.hash,
        "device": device.identity(),
        "numerics": NUMERICS_VERSIONS[device.device.type],
    }
