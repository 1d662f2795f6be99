"""Refuse a sweep that memory or disk cannot hold, before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from lmlab.build.identity import run_identity
from lmlab.build.run_spec import resolve
from lmlab.config.run_config import RunConfig
from lmlab.preflight import machine_resources
from lmlab.preflight.capacity_check import check_memory, disk_problem, refuse
from lmlab.preflight.forecast import costs_of
from lmlab.run_folder import FINISHED
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.find_run import locate
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.slots import Slot, count_co_runners


def check_capacity(
    configs: Sequence[RunConfig], data: RunDataCache, slots: Sequence[Slot], runs: int
) -> None:
    """Refuse a sweep that memory or disk cannot hold.

    Args:
        configs: configurations of its arms, or of its runs.
        data: prepared texts of the configurations.
        slots: slots for runs.
        runs: total number of runs, the same for each configuration.

    Raises:
        ConfigError: a run exceeds the memory, or as many runs as there are slots do.
        DiskError: the files of the runs exceed the disk.
    """
    kept_bytes, temporary_bytes = 0, 0
    for config in configs:
        spec = resolve(config)
        device = choose_device(spec)
        costs = costs_of(spec.workload, device) if spec.preflight != "off" else None
        if costs is None or is_finished(config, data):
            continue
        jobs = count_co_runners(slots[0], slots, len(configs)) + 1
        check_memory(spec.workload, device, costs, spec.preflight, jobs)
        kept_bytes += costs.disk_left
        temporary_bytes = max(temporary_bytes, costs.disk_most - costs.disk_left)
    runs_per_config, concurrent = max(1, runs // len(configs)), min(len(slots), len(configs))
    needed = kept_bytes * runs_per_config + temporary_bytes * concurrent
    first = resolve(configs[0])
    free = machine_resources.free_disk(first.output_root)
    if needed > free:
        keep_last = first.workload.keep_last
        problem = disk_problem(first.output_root, keep_last, needed, free, "the sweep")
        refuse(problem, first.preflight)


def is_finished(config: RunConfig, data: RunDataCache) -> bool:
    """Return whether the run of ``config`` is finished."""
    spec = resolve(config)
    identity = run_identity(spec.identity_settings, data.get(config), choose_device(spec))
    folder, _ = locate(spec, identity)
    return folder.status().get("status") in FINISHED
