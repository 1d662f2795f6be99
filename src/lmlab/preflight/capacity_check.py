"""Refuse runs that memory or disk cannot hold before they start, and say what would fit."""

from __future__ import annotations

import logging
from pathlib import Path

from lmlab.accounting.memory import FLOAT32, largest_batch
from lmlab.accounting.model_counts import FFN
from lmlab.build.workload import RunWorkload
from lmlab.console.formatting import format_bytes, format_count
from lmlab.errors import ConfigError, DiskError, UserError
from lmlab.preflight import machine_resources
from lmlab.preflight.forecast import Costs
from lmlab.runtime.device import Device

_OVERRIDE = "runtime.preflight=warn to try anyway"
log = logging.getLogger("lmlab.preflight")


def check_memory(
    workload: RunWorkload, device: Device, costs: Costs, mode: str, jobs: int = 1
) -> None:
    """Refuse a run that free memory cannot hold; see :func:`refuse` for ``mode``.

    On CUDA, where compilation changes which activations are kept, only weights, gradients and
    optimizer state count here; the measured steps find the rest.

    Args:
        workload: of the run.
        device: where it computes.
        costs: counted for the workload.
        mode: ``runtime.preflight``.
        jobs: number of such runs at the same time.

    Raises:
        ConfigError: memory does not suffice.
    """
    problem = _memory_problem(workload, device, costs, jobs)
    if problem is not None:
        refuse(problem, mode)


def check_disk(
    workload: RunWorkload, costs: Costs, folder: Path, output_root: Path, mode: str
) -> None:
    """Refuse a run that the disk cannot hold; files that it already has count as its own.

    Raises:
        DiskError: disk space does not suffice.
    """
    used = machine_resources.size_of(folder) if folder.exists() else 0
    needed, free = max(0, costs.disk_most - used), machine_resources.free_disk(output_root)
    limit, file = machine_resources.largest_file(), _largest_file(costs)
    if limit is not None and file > limit:
        problem = DiskError(
            f"output_root={output_root}: a checkpoint has a file of {format_bytes(file)}, and the "
            f"limit on file sizes is {format_bytes(limit)}",
            f"raise the limit (ulimit -f unlimited), or set {_OVERRIDE}",
        )
        refuse(problem, mode)
    if needed > free:
        refuse(disk_problem(output_root, workload.keep_last, needed, free, "the run"), mode)


def _largest_file(costs: Costs) -> int:
    """Bytes of the larger file of a checkpoint: the weights, or the state of the optimizer."""
    return FLOAT32 * max(costs.model.parameters, costs.optimizer.state)


def disk_problem(
    output_root: Path | str, keep_last: int, needed: int, free: int, subject: str
) -> DiskError:
    """Describe a lack of disk space for ``subject``, and how to get some."""
    return DiskError(
        f"output_root={output_root}: {subject} needs {format_bytes(needed)} of disk space while "
        f"saving, and {format_bytes(free)} are free",
        "free some space (python -m lmlab.outputs prune), "
        f"lower checkpoint.keep_last={keep_last}, or choose another output_root",
    )


def refuse(problem: UserError, mode: str) -> None:
    """Raise ``problem``; with ``mode`` ``warn``, log it as a warning instead."""
    if mode == "warn":
        log.warning("preflight: %s", problem)
        return
    raise problem


def _memory_problem(
    workload: RunWorkload, device: Device, costs: Costs, jobs: int
) -> ConfigError | None:
    free, memory = machine_resources.free_memory(device.device), costs.memory
    if free is None:
        return None
    per_job = memory.peak + memory.saving
    shared = free if jobs == 1 else machine_resources.free_shared_memory(device.device) or free
    if per_job <= min(free, shared) and shared < jobs * per_job and device.device.type == "cpu":
        return ConfigError(
            f"{jobs} jobs at the same time need {format_bytes(jobs * per_job)} of memory, and "
            f"{format_bytes(shared)} are free",
            f"set hydra.launcher.jobs_per_device={shared // per_job}, or {_OVERRIDE}",
        )
    fixed = _fixed_bytes(costs)
    if device.device.type == "cuda":
        return None if fixed <= free else _model_problem(workload, device, costs, free)
    if per_job <= free:
        return None
    update = memory.training + memory.saving
    if update > free:
        return update_problem(workload, device, costs, update, free)
    batch = workload.validation_batch_size
    largest = (free - memory.saving - fixed) * batch // (memory.validation - fixed)
    if largest < 1:
        return _model_problem(workload, device, costs, free)
    return ConfigError(
        f"validation.batch_size={batch}: an evaluation needs {format_bytes(per_job)} of memory, "
        f"and {_free(free, device)}",
        f"set validation.batch_size={largest}, which changes no result, or {_OVERRIDE}",
    )


def update_problem(
    workload: RunWorkload, device: Device, costs: Costs, needed: int | None, free: int
) -> ConfigError:
    """Describe an update that does not fit memory, and the largest batches that do.

    Args:
        workload: of the run.
        device: where it computes.
        costs: counted for the workload.
        needed: bytes of an update and of saving; None where only a measured step did not fit.
        free: bytes of free memory.
    """
    micro, batch = workload.pass_size, workload.batch_size
    key = "micro_batch_size" if workload.micro_batch_size else "batch_size"
    available = free - costs.memory.saving
    fitting = largest_batch(costs.model, costs.optimizer, costs.compute, available, passes=2)
    # Where the counts were wrong, halve the batch at least.
    most = min(fitting, micro // 2 if needed is None else micro - 1)
    divisor = next((n for n in range(most, 0, -1) if batch % n == 0), 0)
    if divisor == 0:
        return _model_problem(workload, device, costs, free)
    single = min(largest_batch(costs.model, costs.optimizer, costs.compute, available), micro - 1)
    shown = "does not fit in memory;"
    if needed is not None:
        shown = f"needs {format_bytes(needed)} of memory, and"
    return ConfigError(
        f"training.{key}={micro}: an update {shown} {_free(free, device)}",
        f"set training.micro_batch_size={divisor} "
        f"({format_count(batch // divisor, 'pass', 'passes')} per update of {batch} "
        f"sequences), training.batch_size={single}, or {_OVERRIDE}",
    )


def _free(free: int, device: Device) -> str:
    return f"{format_bytes(free)} are free on {_place(device)}"


def _place(device: Device) -> str:
    """The name of a device, and what limits its memory to less than the machine has."""
    limit = machine_resources.limit_of_memory(device.device)
    return device.name() + (f" within {limit}" if limit else "")


def _fixed_bytes(costs: Costs) -> int:
    """Bytes of a run that do not depend on the batch size; saving is not included."""
    memory = costs.memory
    return memory.parameters + memory.gradients + memory.optimizer + memory.workspace


def _model_problem(workload: RunWorkload, device: Device, costs: Costs, free: int) -> ConfigError:
    """Describe a model of which not even one sequence fits memory, and the size to lower."""
    memory = costs.memory
    part = max(costs.model.components, key=lambda part: part.parameters)
    largest = f"{format_bytes(FLOAT32 * part.parameters)} of it weights of the {part.name}"
    if _fixed_bytes(costs) + memory.saving <= free:  # activations dominate, not the weights
        keys, largest = ["context_length"], f"{format_bytes(memory.activations)} of it activations"
    elif part.in_block:
        is_wide = part.group == FFN and workload.model["d_ff"] != "auto"
        keys = ["d_ff" if is_wide else "d_model", "num_layers"]
    else:
        keys = ["context_length" if part.name == "positions" else "vocab_size"]
    settings = ", ".join(f"model.{key}={workload.model[key]}" for key in keys)
    return ConfigError(
        f"{settings}: training on one sequence at a time needs more than the {format_bytes(free)} "
        f"of memory free on {_place(device)} ({format_bytes(memory.peak + memory.saving)} as "
        f"configured, {largest})",
        f"lower {' or '.join(f'model.{key}' for key in keys)}, or set {_OVERRIDE}",
    )
