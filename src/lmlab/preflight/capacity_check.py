"""Runs that memory or disk cannot hold are refused before they begin, with what would fit."""

from __future__ import annotations

import logging
from pathlib import Path

from lmlab.accounting.memory import FLOAT32, largest_batch
from lmlab.accounting.model_counts import FFN
from lmlab.config.run_config import RunConfig
from lmlab.console.formatting import format_bytes
from lmlab.errors import ConfigError, DiskError, UserError
from lmlab.preflight import machine_resources
from lmlab.preflight.forecast import Costs
from lmlab.runtime.device import Device

log = logging.getLogger("lmlab.preflight")


def check_memory(config: RunConfig, device: Device, costs: Costs, jobs: int = 1) -> None:
    """Refuse a run that memory cannot hold; only tell where ``runtime.preflight=warn``.

    On CUDA, where compilation changes what is kept, nothing but weights, gradients and optimizer
    state counts here; the calibration's own steps tell the rest.

    Args:
        config: of the run.
        device: that it computes on.
        costs: what it will take.
        jobs: as many of them at once.

    Raises:
        ConfigError: there is too little.
    """
    problem = _memory(config, device, costs, jobs)
    if problem is not None:
        refuse(config, problem)


def check_disk(config: RunConfig, costs: Costs, run: Path) -> None:
    """Refuse a run that the disk cannot hold; what lies in its folder is not needed again.

    Raises:
        DiskError: there is too little.
    """
    there = machine_resources.size_of(run) if run.exists() else 0
    needed, free = (
        max(0, costs.disk_most - there),
        machine_resources.free_disk(Path(config.output_root)),
    )
    if needed > free:
        refuse(config, lacking_disk(config, needed, free, "the run"))


def lacking_disk(config: RunConfig, needed: int, free: int, who: str) -> DiskError:
    """Say how much disk ``who`` needs, and where it could come from."""
    return DiskError(
        f"output_root={config.output_root}: {who} needs {format_bytes(needed)} while saving, and "
        f"{format_bytes(free)} are free there; free some space (python -m lmlab.outputs prune), "
        f"lower checkpoint.keep_last={config.checkpoint.keep_last}, or choose another output_root"
    )


def refuse(config: RunConfig, problem: UserError) -> None:
    """Raise ``problem``, or tell it and go on where ``runtime.preflight=warn``."""
    if config.runtime.preflight == "warn":
        log.warning("preflight: %s", problem)
        return
    raise problem


def _memory(config: RunConfig, device: Device, costs: Costs, jobs: int) -> ConfigError | None:
    free, held = machine_resources.free_memory(device.device), costs.memory
    if free is None:
        return None
    each = held.peak + held.saving
    if jobs > 1 and each <= free < jobs * each and device.device.type == "cpu":
        return ConfigError(
            f"{jobs} jobs at a time need {format_bytes(jobs * each)}, and {format_bytes(free)} of "
            f"memory are free; set hydra.launcher.jobs_per_device={free // each}, or "
            "runtime.preflight=warn to try"
        )
    fixed = _fixed(costs)
    if device.device.type == "cuda":
        return None if fixed <= free else _too_large(config, device, costs, free)
    if each <= free:
        return None
    if held.training + held.saving > free:
        return does_not_fit(config, device, costs, held.training + held.saving, free)
    batch = config.validation.batch_size
    fits = (free - held.saving - fixed) * batch // (held.validation - fixed)
    if fits < 1:
        return _too_large(config, device, costs, free)
    return ConfigError(
        f"validation.batch_size={batch}: an evaluation needs {format_bytes(each)}, and "
        f"{format_bytes(free)} of memory are free on {device.name()}; validation.batch_size={fits} "
        "fits and changes no result; runtime.preflight=warn tries it as it is"
    )


def does_not_fit(
    config: RunConfig, device: Device, costs: Costs, needed: int, free: int
) -> ConfigError:
    """Say what would fit: the largest batch, with accumulation to the one that is wanted.

    Args:
        config: of the run.
        device: that it computes on.
        costs: what it will take.
        needed: bytes of an update, and of saving beside it; 0 where that was not found out.
        free: bytes.
    """
    training = config.training
    micro = training.micro_batch_size or training.batch_size
    key = "micro_batch_size" if training.micro_batch_size else "batch_size"
    left = free - costs.memory.saving
    fits = largest_batch(costs.model, costs.optimizer, costs.how, left, passes=2)
    most = min(fits, micro - 1 if needed else micro // 2)  # where counting was wrong, half as much
    divisor = next((n for n in range(most, 0, -1) if training.batch_size % n == 0), 0)
    if divisor == 0:
        return _too_large(config, device, costs, free)
    alone = min(largest_batch(costs.model, costs.optimizer, costs.how, left), micro - 1)
    told = f"needs {format_bytes(needed)}, and" if needed else "does not fit:"
    return ConfigError(
        f"training.{key}={micro}: an update {told} {format_bytes(free)} of memory are free on "
        f"{device.name()}; training.micro_batch_size={divisor} fits "
        f"({training.batch_size // divisor} passes an update, which still learns from "
        f"{training.batch_size} sequences), or training.batch_size={alone}; "
        "runtime.preflight=warn tries it as it is"
    )


def _fixed(costs: Costs) -> int:
    """Bytes that a run takes however few sequences a pass has; saving comes beside them."""
    held = costs.memory
    return held.parameters + held.gradients + held.optimizer + held.workspace


def _too_large(config: RunConfig, device: Device, costs: Costs, free: int) -> ConfigError:
    held = costs.memory
    part = max(costs.model.components, key=lambda part: part.parameters)
    told = f"{format_bytes(FLOAT32 * part.parameters)} of it the weights of the {part.name}"
    if _fixed(costs) + held.saving <= free:  # not the weights, but what comes of a sequence
        keys, told = ["context_length"], f"{format_bytes(held.activations)} of it activations"
    elif part.in_block:
        is_wide = part.group == FFN and config.model.d_ff != "auto"
        keys = ["d_ff" if is_wide else "d_model", "num_layers"]
    else:
        keys = ["context_length" if part.name == "positions" else "vocab_size"]
    settings = ", ".join(f"model.{key}={getattr(config.model, key)}" for key in keys)
    return ConfigError(
        f"{settings}: training one sequence at a time needs more than the {format_bytes(free)} of "
        f"memory that are free on {device.name()} ({format_bytes(held.peak + held.saving)} as "
        f"configured, {told}); lower {' or '.join(f'model.{key}' for key in keys)}, or set "
        "runtime.preflight=warn to try"
    )
