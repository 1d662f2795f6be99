"""How many threads a job of a sweep computes with, where that is left to the program.

Threads belong to a run's identity on a CPU, so they depend on the configuration and the machine
alone, not on how many runs there are or what else goes on: a rerun, a wider sweep and another study
come to the same number.
"""

from __future__ import annotations

import copy
from typing import Any

from lmlab.accounting.model_counts import update_flops
from lmlab.runtime.device import resolve_torch_device
from lmlab.runtime.processor import usable_cores

# About what a core computes in a second. Smaller updates gain little from a second thread, and
# a run a core uses the whole machine.
SMALL_UPDATE_FLOPS = 4e10


def resolve_threads(content: dict[str, Any]) -> dict[str, Any]:
    """A job's plain configuration with a number for ``runtime.threads``, if that is ``auto``.

    One where updates are small, else as many as this process may use; on a GPU, where threads
    change no result, it is left as it is.
    """
    if content["runtime"]["threads"] != "auto":
        return content
    if resolve_torch_device(content["runtime"]["device"]).type != "cpu":
        return content
    changed = copy.deepcopy(content)
    changed["runtime"]["threads"] = 1 if is_small(content) else usable_cores()
    return changed


def is_small(content: dict[str, Any]) -> bool:
    """Whether a core takes less than about a second for an update."""
    flops = update_flops(content)
    return flops is not None and flops <= SMALL_UPDATE_FLOPS


def run_flops(content: dict[str, Any]) -> int:
    """FLOPs of all updates of a run, by which the longest is known; 0 where not counted."""
    return int(content["training"]["steps"]) * (update_flops(content) or 0)
