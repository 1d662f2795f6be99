"""The preflight of a sweep: what its runs take when as many of them run as there are places."""

from __future__ import annotations

import heapq
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lmlab.build.identity import run_identity
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import from_dict
from lmlab.config.run_config import RunConfig
from lmlab.errors import UserError
from lmlab.preflight import machine_resources
from lmlab.preflight.calibration import calibration_file, read_calibration
from lmlab.preflight.capacity_check import check_memory, disk_problem, refuse
from lmlab.preflight.forecast import costs_of, seconds_of
from lmlab.preflight.measurement import find_or_calibrate
from lmlab.run_folder import FINISHED
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.execute import locate
from lmlab.storage.io import write_json
from lmlab.sweep import worker_processes
from lmlab.sweep.arm_costs import TextsByConfig
from lmlab.sweep.slots import Slot

START_SECONDS = 0.3  # of a run that is forked, until its preflight and after its end


def beside(slot: Slot, slots: Sequence[Slot], jobs: int) -> int:
    """How many other jobs work on the device of ``slot`` while one does."""
    sharing = sum(other.device == slot.device for other in slots)
    return max(0, min(sharing, jobs) - 1)


def as_job(config: RunConfig, slot: Slot, others: int) -> RunConfig:
    """The configuration as a job sees it: its GPU is the only one there, shared with others."""
    content = config.as_dict()
    content["runtime"]["beside"] = others
    if slot.environment and ":" in config.runtime.device:
        content["runtime"]["device"] = "cuda"
    return from_dict(content)


def check_all(
    configs: Sequence[RunConfig],
    texts: TextsByConfig,
    slots: Sequence[Slot],
    runs: int,
) -> None:
    """Refuse a sweep that memory or disk cannot hold.

    Args:
        configs: of its arms, or of its runs.
        texts: of the configurations.
        slots: places for jobs.
        runs: in all, shared among the arms alike.

    Raises:
        ConfigError: a run does not fit memory, or as many as there are places do not.
        DiskError: what they leave does not fit the disk.
    """
    left, saving = 0, 0
    for config in configs:
        spec = resolve(config)
        workload, device = spec.workload, choose_device(spec)
        costs = costs_of(workload, device) if spec.preflight != "off" else None
        if costs is None or is_finished(config, texts):
            continue
        jobs = beside(slots[0], slots, len(configs)) + 1
        check_memory(workload, device, costs, spec.preflight, jobs)
        left += costs.disk_left
        saving = max(saving, costs.disk_most - costs.disk_left)
    needed = left * max(1, runs // len(configs)) + saving * min(len(slots), len(configs))
    first = resolve(configs[0])
    free = machine_resources.free_disk(first.output_root)
    if needed > free:
        keep_last = first.workload.keep_last
        problem = disk_problem(first.output_root, keep_last, needed, free, "the sweep")
        refuse(problem, first.preflight)


def is_finished(config: RunConfig, texts: TextsByConfig) -> bool:
    """Whether the run of ``config`` needs nothing more."""
    spec = resolve(config)
    identity = run_identity(spec.identity_settings, texts.of(config), choose_device(spec))
    run, _ = locate(spec, identity)
    return run.status().get("status") in FINISHED


def run_seconds(
    configs: Sequence[RunConfig], texts: TextsByConfig, slots: Sequence[Slot]
) -> list[float] | None:
    """Predict the time of each run, forked and with others beside it; None where unknown.

    Shapes that were not measured yet are measured, as many at once as jobs will run.
    """
    if not configs:
        return []
    if any(config.runtime.preflight == "off" for config in configs):
        return None
    others = beside(slots[0], slots, len(configs))
    jobs = [as_job(config, slots[0], others) for config in configs]
    _measure_all(jobs, slots, others + 1)
    found = []
    for config in jobs:
        spec = resolve(config)
        measured = read_calibration(_calibration_file(spec))
        if measured is None:
            return None
        found.append(seconds_of(spec.workload, texts.of(config), measured).total + START_SECONDS)
    return found


def _measure_all(configs: Sequence[RunConfig], slots: Sequence[Slot], at_once: int) -> None:
    """Calibrate each new shape; where there are fewer than places, the last one several times."""
    unknown: dict[Path, RunConfig] = {}
    for config in configs:
        path = _calibration_file(resolve(config))
        if not path.exists():
            unknown.setdefault(path, config)
    waiting = list(unknown.values())
    if not waiting:
        return
    way = worker_processes.context()
    while waiting:
        now, waiting = waiting[:at_once], waiting[at_once:]
        now += [now[-1]] * (at_once - len(now))
        processes = [
            way.Process(target=_calibrate, args=(config.as_dict(), slot))
            for config, slot in zip(now, _cycle(slots, len(now)), strict=True)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()


def _calibration_file(spec: RunSpec) -> Path:
    return calibration_file(spec.workload, choose_device(spec), spec.cache_folder)


def _cycle(slots: Sequence[Slot], number: int) -> Iterator[Slot]:
    return (slots[index % len(slots)] for index in range(number))


def _calibrate(content: dict[str, Any], slot: Slot) -> None:
    """In a process of its own: measure, and leave the result where it is looked for."""
    slot.enter()
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    worker_processes.hear_interrupts()
    try:
        spec = resolve(from_dict(content))
        device = choose_device(spec)
        device.apply()
        find_or_calibrate(spec, device)
    except (UserError, RuntimeError):
        sys.exit(1)  # nothing is known of this shape; its own run will tell why


def makespan(seconds: Sequence[float], places: int) -> float:
    """The time of runs that are started longest first, each at the first free place."""
    ends = [0.0] * max(1, places)
    for own in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + own)
    return max(ends)


class Stopwatch:
    """Writes ``preflight.json`` of a sweep: what was predicted, and what it took."""

    def __init__(self, folder: Path, predicted: float | None) -> None:
        self.path, self.predicted = folder / "preflight.json", predicted
        self._started = time.monotonic()

    def stop(self, ran: int) -> str:
        """Write, and say it in words; ``""`` where there is nothing to compare."""
        actual = time.monotonic() - self._started
        if self.predicted is None or not ran:
            return ""
        write_json(
            self.path,
            {"predicted_seconds": round(self.predicted, 3), "actual_seconds": round(actual, 3),
             "runs": ran},
        )  # fmt: skip
        return f"predicted {self.predicted:.1f} s, took {actual:.1f} s"
