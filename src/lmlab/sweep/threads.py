"""The number of threads of each job of a sweep, for ``runtime.threads=auto``.

On a CPU, threads are part of a run's identity. They therefore depend only on the configuration and
the machine, not on the size of the sweep or the current load: a rerun, a wider sweep and another
study resolve to the same number.
"""

from __future__ import annotations

import copy
from typing import Any

from lmlab.accounting.model_counts import update_flops
from lmlab.runtime.device import resolve_torch_device, usable_cores

# Roughly the FLOPs of one core per second. Smaller updates gain little from a second thread, and
# one run per core uses the whole machine.
SMALL_UPDATE_FLOPS = 4e10


def resolve_threads(content: dict[str, Any]) -> dict[str, Any]:
    """Return a job's plain configuration with ``runtime.threads=auto`` replaced by a number.

    One thread if updates are small, otherwise all usable cores. On a GPU, where threads do not
    change results, the setting stays ``auto``.
    """
    if content["runtime"]["threads"] != "auto":
        return content
    if resolve_torch_device(content["runtime"]["device"]).type != "cpu":
        return content
    changed = copy.deepcopy(content)
    changed["runtime"]["threads"] = 1 if has_small_updates(content) else usable_cores()
    return changed


def has_small_updates(content: dict[str, Any]) -> bool:
    """Return whether one core computes an update in less than about a second."""
    flops = update_flops(content)
    return flops is not None and flops <= SMALL_UPDATE_FLOPS


def training_flops(content: dict[str, Any]) -> int:
    """Return the FLOPs of all updates of a run, to start long runs first; 0 if unknown."""
    return int(content["training"]["steps"]) * (update_flops(content) or 0)
