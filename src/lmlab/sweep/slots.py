"""Slots for concurrent jobs on the devices of this machine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import torch

from lmlab.config.compose import from_dict
from lmlab.config.run_config import RunConfig
from lmlab.console.formatting import format_count
from lmlab.errors import ConfigError
from lmlab.runs import auto_settings
from lmlab.runtime.device import usable_cores
from lmlab.sweep.cpu_affinity import pin_to_free_core


@dataclasses.dataclass(frozen=True)
class Slot:
    """Capacity of a device for one job at a time.

    Attributes:
        device: name of the device.
        environment: environment variables of the job's process.
        pinned: whether the process is pinned to one core.
    """

    device: str
    environment: tuple[tuple[str, str], ...] = ()
    pinned: bool = False

    def apply_to_process(self) -> None:
        """Set the environment and CPU affinity of this process."""
        os.environ.update(self.environment)
        if self.pinned:
            pin_to_free_core()


def find_slots(config: RunConfig, jobs_per_device: int | str) -> list[Slot]:
    """Return the slots of this machine.

    Args:
        config: configuration of any job; all jobs of a sweep use the same kind of device.
        jobs_per_device: a number, or ``auto``: one per GPU; on a CPU as many as its cores provide
            the threads for.

    Raises:
        ConfigError: ``jobs_per_device`` is invalid, or the device is not available.
    """
    is_integer = isinstance(jobs_per_device, int) and not isinstance(jobs_per_device, bool)
    if not (jobs_per_device == "auto" or (is_integer and int(jobs_per_device) >= 1)):
        raise ConfigError(
            f"hydra.launcher.jobs_per_device={jobs_per_device}: expected auto, or 1 or more"
        )
    device = auto_settings.build_device(config)
    kind = device.device.type
    if jobs_per_device == "auto":
        per_device = max(1, usable_cores() // device.threads) if kind == "cpu" else 1
    else:
        per_device = int(jobs_per_device)
    if kind != "cuda":
        # With idle cores left, the scheduler of the system places processes better.
        pinned = kind == "cpu" and device.threads == 1 and per_device == usable_cores() > 1
        return [Slot(kind, pinned=pinned)] * per_device
    # The index counts the devices visible to this process; a job sees only its own.
    visible = _visible_devices()
    chosen: Sequence[str] = visible
    if device.device.index is not None:
        chosen = [visible[device.device.index]]
    return [
        Slot(f"cuda {name}", (("CUDA_VISIBLE_DEVICES", name),))
        for _ in range(per_device)
        for name in chosen
    ]


def count_co_runners(slot: Slot, slots: Sequence[Slot], jobs: int) -> int:
    """Return how many of the other ``jobs`` can run on the device of ``slot`` at the same time."""
    same_device = sum(other.device == slot.device for other in slots)
    return max(0, min(same_device, jobs) - 1)


def config_in_slot(config: RunConfig, slot: Slot, co_runners: int) -> RunConfig:
    """Return the configuration for a job's process, which sees its GPU as the only one."""
    content = config.as_dict()
    content["runtime"]["beside"] = co_runners
    if slot.environment and ":" in config.runtime.device:
        content["runtime"]["device"] = "cuda"
    return from_dict(content)


def describe_slots(slots: Sequence[Slot], threads: int, runs_per_process: int) -> str:
    """Describe how the jobs of a sweep share the machine.

    Args:
        slots: the slots for processes.
        threads: threads of a job on a CPU.
        runs_per_process: the most runs that train as one stack.
    """
    parts = [f"{len(slots)} at a time"]
    if runs_per_process > 1:
        parts.append(f"each a stack of up to {format_count(runs_per_process, 'run')}")
    if slots[0].device == "cpu":
        parts.append(f"{threads} {'thread' if threads == 1 else 'threads'} each")
    if slots[0].pinned:
        parts.append("each pinned to a core")
    return ", ".join(parts)


def _visible_devices() -> list[str]:
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip()]
    return [str(index) for index in range(torch.cuda.device_count())]
