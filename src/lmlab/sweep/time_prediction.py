"""Predict how long a sweep takes, and compare the prediction with the actual time."""

from __future__ import annotations

import heapq
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import from_dict
from lmlab.config.run_config import RunConfig
from lmlab.errors import UserError
from lmlab.preflight.calibration import calibration_file, read_calibration
from lmlab.preflight.forecast import seconds_of
from lmlab.preflight.measurement import find_or_calibrate
from lmlab.runs.auto_settings import choose_device
from lmlab.storage.io import write_json
from lmlab.sweep import worker_processes
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.slots import Slot, config_in_slot, count_co_runners

STARTUP_SECONDS = 0.3  # of a forked run, before its preflight and after its end


def predict_run_seconds(
    configs: Sequence[RunConfig],
    data: RunDataCache,
    slots: Sequence[Slot],
    steps_done: Sequence[int] | None = None,
) -> list[float] | None:
    """Predict the seconds of each run while the other slots are busy; None if unknown.

    Shapes without a calibration are measured first, as many at once as jobs will run.

    Args:
        configs: of the runs.
        data: prepared texts of the configurations.
        slots: slots for runs.
        steps_done: the step at which each run starts; None for 0.
    """
    if not configs:
        return []
    if any(config.runtime.preflight == "off" for config in configs):
        return None
    co_runners = count_co_runners(slots[0], slots, len(configs))
    jobs = [config_in_slot(config, slots[0], co_runners) for config in configs]
    _calibrate_all(jobs, slots, concurrency=co_runners + 1)
    seconds = []
    for config, start in zip(jobs, steps_done or [0] * len(jobs), strict=True):
        spec = resolve(config)
        calibration = read_calibration(_calibration_file(spec))
        if calibration is None:
            return None
        forecast = seconds_of(spec.workload, data.get(config), calibration, start)
        seconds.append(forecast.total + STARTUP_SECONDS)
    return seconds


def _calibrate_all(configs: Sequence[RunConfig], slots: Sequence[Slot], concurrency: int) -> None:
    """Calibrate each new shape, ``concurrency`` at a time; repeat the last one to fill up."""
    pending: dict[Path, RunConfig] = {}
    for config in configs:
        path = _calibration_file(resolve(config))
        if not path.exists():
            pending.setdefault(path, config)
    if not pending:
        return
    measure_at_once(_calibrate, list(pending.values()), slots, concurrency)


def measure_at_once(
    measure: Callable[[dict[str, Any], Slot], None],
    configs: Sequence[RunConfig],
    slots: Sequence[Slot],
    concurrency: int,
) -> None:
    """Call ``measure`` for each configuration in a process of its own, as the jobs will run.

    Args:
        measure: gets a plain configuration and the slot of the process; must be importable.
        configs: of jobs that see their slot's device as the only one.
        slots: slots for runs.
        concurrency: processes at a time. The last configuration is repeated to fill up.
    """
    waiting = list(configs)
    context = worker_processes.make_context()
    while waiting:
        batch, waiting = waiting[:concurrency], waiting[concurrency:]
        batch += [batch[-1]] * (concurrency - len(batch))
        processes = [
            context.Process(target=measure, args=(config.as_dict(), slots[index % len(slots)]))
            for index, config in enumerate(batch)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()


def _calibration_file(spec: RunSpec) -> Path:
    return calibration_file(spec.workload, choose_device(spec), spec.cache_folder)


def _calibrate(content: dict[str, Any], slot: Slot) -> None:
    """Measure a shape in a separate process, which stores the calibration file."""
    enter_slot(slot)
    try:
        spec = resolve(from_dict(content))
        device = choose_device(spec)
        device.apply()
        find_or_calibrate(spec, device)
    except (UserError, RuntimeError):
        sys.exit(1)  # the shape stays unknown; its own run reports the error


def enter_slot(slot: Slot) -> None:
    """Let a process that measures compute in a slot, and print nothing."""
    slot.apply_to_process()
    with open(os.devnull, "wb") as discard:
        os.dup2(discard.fileno(), 1)
        os.dup2(discard.fileno(), 2)
    worker_processes.unblock_interrupts()


def makespan(seconds: Sequence[float], slots: int) -> float:
    """Return the total time of runs started longest first, each in the first free slot."""
    ends = [0.0] * max(1, slots)
    for duration in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


class PredictionRecord:
    """Times a sweep and writes ``preflight.json``: its predicted and its actual seconds."""

    def __init__(self, folder: Path, predicted_seconds: float | None) -> None:
        self.path, self.predicted_seconds = folder / "preflight.json", predicted_seconds
        self._started = time.monotonic()

    def finish(self, runs: int) -> str:
        """Write the file and return a summary; an empty string without a prediction or runs."""
        actual = time.monotonic() - self._started
        if self.predicted_seconds is None or not runs:
            return ""
        predicted = self.predicted_seconds
        write_json(
            self.path,
            {"predicted_seconds": round(predicted, 3), "actual_seconds": round(actual, 3),
             "runs": runs},
        )  # fmt: skip
        return f"predicted {predicted:.1f} s, took {actual:.1f} s"
