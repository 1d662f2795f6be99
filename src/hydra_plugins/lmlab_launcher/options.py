"""The options of the launchers with their types: the settings below ``hydra.launcher``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lmlab.config.typed_settings import read_typed


@dataclasses.dataclass
class LocalOptions:
    """Options of ``hydra/launcher=lmlab``; see :class:`LocalLauncher`."""

    jobs_per_device: Any = "auto"
    stack: Any = "auto"
    plan_only: bool = False
    report: bool = True


@dataclasses.dataclass
class SlurmOptions:
    """Options of ``hydra/launcher=slurm``; see :class:`SlurmLauncher`."""

    partition: str | None = None
    ranks: int = 1
    nodes: int = 1
    gpus: int = 0
    cpus: int = 1
    mem_gb: float | None = None
    time_min: int = 240
    constraint: str | None = None
    account: str | None = None
    qos: str | None = None
    sbatch: Any = dataclasses.field(default_factory=list)
    setup: Any = dataclasses.field(default_factory=list)
    per_arm: dict[str, Any] = dataclasses.field(default_factory=dict)
    arms_per_job: int = 1
    array_parallelism: int = 64
    wait: bool = True
    driver: dict[str, Any] = dataclasses.field(default_factory=dict)
    signal_seconds: int = 90
    retries: int = 3
    poll_seconds: float = 10.0
    plan_only: bool = False
    report: bool = True


def read_options(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a launcher, converted to their types.

    Raises:
        ConfigError: an option is unknown or has a value of another type.
    """
    return read_typed(kind, given, "hydra.launcher")
