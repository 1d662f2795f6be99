"""What all parts of a run share, resolved once before anything is trained."""

from __future__ import annotations

import dataclasses
from typing import Any

from lmlab.build.run_data import RunData
from lmlab.build.run_spec import RunSpec
from lmlab.distributed.communicator import Communicator
from lmlab.run_folder import RunFolder
from lmlab.runtime.device import Device


@dataclasses.dataclass(frozen=True)
class RunContext:
    """A run on this machine, resolved and not yet built.

    Attributes:
        spec: what the configuration says.
        device: where this process computes, and how.
        data: corpus, tokenizer and token files.
        comm: of the ranks that share each batch.
        identity: everything that changes the result.
        folder: the run folder.
    """

    spec: RunSpec
    device: Device
    data: RunData
    comm: Communicator
    identity: dict[str, Any]
    folder: RunFolder
