"""The steps that fit into ``training.minutes``: measured once, and kept.

The minutes are those from the start of training to the end of the run: updates, evaluations,
checkpoints and the samples at the end. Loading the program, preparing the data, compiling, the
measurement itself and callbacks come in addition.

The steps become ``training.steps`` of the run, and thereby part of its identity. A rerun finds
them in the run folder, on this or another machine. Runs of other seeds, learning rates and
schedules find them in ``lengths/`` of the cache folder, so that equal work gets equal steps.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmlab.build.run_data import RunData, prepare_data
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import with_steps
from lmlab.config.run_config import RunConfig
from lmlab.config.run_length import has_unmeasured_steps, require_known_steps
from lmlab.config.started_runs import started_runs
from lmlab.console.formatting import format_count, format_duration
from lmlab.errors import ConfigError
from lmlab.preflight.calibration import calibration_file, shape_key, write_calibration
from lmlab.preflight.forecast import seconds_of, steps_within
from lmlab.preflight.measurement import calibrate
from lmlab.preflight.run_preflight import check_memory_early
from lmlab.preflight.step_timing import StepTiming
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.session import out_of_memory
from lmlab.runtime.device import Device, is_out_of_memory
from lmlab.runtime.launch_env import read_launch_env
from lmlab.storage.io import hash_json
from lmlab.storage.sealed import get_or_create, read_stored

# Relative to the predicted time: what a measurement of seconds says about the following hour.
LEAST_UNCERTAINTY = 0.05
_KEYS = frozenset({"steps", "seconds", "uncertainty", "source"})
# Of the identity of a device: these hold wherever a command is typed again.
_ASKED_FOR = ("device_type", "policy", "threads")
log = logging.getLogger("lmlab.run")


@dataclasses.dataclass(frozen=True)
class MeasuredLength:
    """The length of a run of some minutes.

    Attributes:
        steps: updates.
        seconds: that they are predicted to take, with evaluations, checkpoints and samples.
        uncertainty: of the seconds, relative.
        source: what was measured.
    """

    steps: int
    seconds: float
    uncertainty: float
    source: str

    def summary(self) -> str:
        """Describe it in one line: ``12,300 steps, 41 min to 49 min (80 steps of ...)``."""
        shortest, longest = (self.seconds * (1 + sign * self.uncertainty) for sign in (-1, 1))
        times = f"{format_duration(shortest)} to {format_duration(longest)}"
        return f"{format_count(self.steps, 'step')}, {times} ({self.source})"


def known_steps(config: RunConfig) -> RunConfig:
    """Return a configuration whose steps are known, and log how; see :func:`find_length`."""
    if not has_unmeasured_steps(config.as_dict()):
        return config
    config, summary = find_length(config)
    log.info("%s", summary)
    return config


def find_length(config: RunConfig) -> tuple[RunConfig, str]:
    """Return a configuration with the steps of its run, or those measured now, and say which.

    Args:
        config: whose steps are to be measured.

    Raises:
        ConfigError: no update fits the minutes, or several ranks share the run.
    """
    if read_launch_env().size > 1:
        require_known_steps(config.as_dict(), "with several ranks")
    spec = resolve(config)
    device = choose_device(spec)
    minutes = f"training.minutes={config.training.minutes:g}"
    steps = _steps_of_run(config, device)
    if steps is not None:
        return with_steps(config, steps), (
            f"{minutes}: {format_count(steps, 'step')}, as measured when the run began"
        )
    check_memory_early(spec.workload, device, spec.preflight)
    data = prepare_data(spec.data)
    path = _length_file(spec, data, device)
    kept = read_stored(path, _KEYS)
    if kept is None:
        log.info("%s: measuring how long an update takes", minutes)
        kept = get_or_create(path, lambda: dataclasses.asdict(_measure(config, data)), _KEYS)
    length = MeasuredLength(**kept)
    return with_steps(config, length.steps), f"{minutes}: {length.summary()}"


def length_file(config: RunConfig) -> Path:
    """Return the file of the measured length of all runs that take as long as this one."""
    spec = resolve(config)
    return _length_file(spec, prepare_data(spec.data), choose_device(spec))


def _length_file(spec: RunSpec, data: RunData, device: Device) -> Path:
    workload = spec.workload
    key: dict[str, Any] = {
        "shape": shape_key(dataclasses.replace(workload, concurrent_jobs=0), device),
        "minutes": spec.settings["training"]["minutes"],
        "text": [data.corpus.train_hash, data.corpus.valid_hash, data.tokenizer.hash],
        "every": [workload.validate_every, workload.save_every, list(workload.keep_steps)],
        "validation_max_tokens": workload.validation_max_tokens,
        "sample_tokens": workload.sample_tokens,
        "ema": workload.ema,
    }
    if data.tasks:  # each evaluation takes their time, too
        key["tasks"] = [task.hash for task in data.tasks]
    return spec.cache_folder / "lengths" / f"{hash_json(key)[:24]}.json"


def _steps_of_run(config: RunConfig, device: Device) -> int | None:
    """The steps of a run that this command started on such a device; None if there is none."""
    here = device.identity()
    for folder, steps in started_runs(config):
        identity = folder.meta().get("identity")
        there = identity.get("device") if isinstance(identity, Mapping) else None
        if isinstance(there, Mapping) and all(there.get(key) == here[key] for key in _ASKED_FOR):
            return steps
    return None


def _measure(config: RunConfig, data: RunData) -> MeasuredLength:
    """Measure on the device of the run, compiled if that pays for so many steps."""
    spec = resolve(config)
    device = choose_device(spec)
    length = _measure_on(device, spec, data)
    compiled = choose_device(resolve(with_steps(config, length.steps)))
    if compiled.compile and not device.compile:
        length = _measure_on(compiled, spec, data)
    return length


def _measure_on(device: Device, spec: RunSpec, data: RunData) -> MeasuredLength:
    minutes = spec.settings["training"]["minutes"]
    device.apply()
    timing = StepTiming.long(spec.workload, 60 * minutes, device.device.type)
    try:
        found = calibrate(spec, device, timing)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory() from error
    write_calibration(calibration_file(spec.workload, device, spec.cache_folder), found)
    steps = steps_within(spec.workload, data, found, 60 * minutes)
    run = dataclasses.replace(spec.workload, steps=max(1, steps))
    seconds = seconds_of(run, data, found).total
    if steps < 1:
        raise ConfigError(
            f"training.minutes={minutes:g}: expected at least {seconds / 60:.2g}, which one update "
            "with its evaluations takes",
            "raise training.minutes, or lower training.batch_size or validation.max_tokens",
        )
    uncertainty = max(LEAST_UNCERTAINTY, 2 * (found.spread or 0.0))
    return MeasuredLength(steps, seconds, uncertainty, found.source)
