"""The identity of a run: everything that changes its result, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.build.run_data import RunData
from lmlab.build.user_code import user_code
from lmlab.runtime.device import Device

# By device type. Increase a number when a change of the code changes the results of a run with
# unchanged settings on that device.
NUMERICS_VERSIONS = {"cpu": 4, "cuda": 5, "mps": 4}


def run_identity(settings: Mapping[str, Any], data: RunData, device: Device) -> dict[str, Any]:
    """Return the identity of a run; two runs with equal identities are the same run.

    Where the settings name classes of other packages, the version and the source of these packages
    are part of it.

    Args:
        settings: the part of the configuration that changes the result; see
            :func:`lmlab.config.identity_settings.identity_settings`.
        data: identified by content hashes, not by paths.
        device: identified by type, precision, compilation and, on a CPU, threads.
    """
    code = user_code(settings)
    return {
        "config": settings,
        "train_text": data.corpus.train_hash,
        "valid_text": data.corpus.valid_hash,
        "tokenizer": data.tokenizer.hash,
        "device": device.identity(),
        "numerics": NUMERICS_VERSIONS[device.device.type],
    } | ({"code": code} if code else {})
