"""Where the jobs of a sweep run: one or several a device."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import torch

from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError
from lmlab.runs import auto_settings
from lmlab.runtime.processor import usable_cores
from lmlab.sweep.cpu_affinity import pin_to_free_core


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place for one job at a time.

    Attributes:
        device: its name.
        environment: what the job finds set.
        pinned: whether the job keeps to one core.
    """

    device: str
    environment: tuple[tuple[str, str], ...] = ()
    pinned: bool = False

    def enter(self) -> None:
        """Make this process work here."""
        os.environ.update(self.environment)
        if self.pinned:
            pin_to_free_core()


def find_slots(config: RunConfig, jobs_per_device: int | str) -> list[Slot]:
    """The places for jobs on this machine.

    Args:
        config: of any job; all jobs of a sweep want the same kind of device.
        jobs_per_device: a number, or ``auto``: one on a GPU; on a CPU as many as there are cores
            for the threads of one job.

    Raises:
        ConfigError: ``jobs_per_device`` is neither, or the device is not here.
    """
    number = isinstance(jobs_per_device, int) and not isinstance(jobs_per_device, bool)
    if not (jobs_per_device == "auto" or (number and int(jobs_per_device) >= 1)):
        raise ConfigError(
            f"hydra.launcher.jobs_per_device={jobs_per_device}: accepted is auto, or 1 or more"
        )
    device = auto_settings.build_device(config)
    kind = device.device.type
    if jobs_per_device == "auto":
        each = max(1, usable_cores() // device.threads) if kind == "cpu" else 1
    else:
        each = int(jobs_per_device)
    if kind != "cuda":
        # Where all cores are in use; else the system knows better which are idle.
        pinned = kind == "cpu" and device.threads == 1 and each == usable_cores() > 1
        return [Slot(kind, pinned=pinned)] * each
    # The index counts the devices that this process sees; a job sees its own as the only one.
    visible = _visible_devices()
    chosen: Sequence[str] = visible
    if device.device.index is not None:
        chosen = [visible[device.device.index]]
    return [
        Slot(f"cuda {name}", (("CUDA_VISIBLE_DEVICES", name),))
        for _ in range(each)
        for name in chosen
    ]


def describe_slots(slots: Sequence[Slot], threads: int, members: int) -> str:
    """How the jobs of a sweep share the machine, for people.

    Args:
        slots: places for processes.
        threads: of a job on a CPU.
        members: the most runs of a process.
    """
    said = f"{len(slots)} at a time"
    if members > 1:
        said += f", each a stack of up to {members} runs"
    if slots[0].device == "cpu":
        said += f", {threads} {'thread' if threads == 1 else 'threads'} each"
    return said + (", a core for each" if slots[0].pinned else "")


def _visible_devices() -> list[str]:
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip()]
    return [str(index) for index in range(torch.cuda.device_count())]
