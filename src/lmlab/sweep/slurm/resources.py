"""The resources that jobs request from Slurm, and what their runs then compute with."""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.config.compose import from_dict
from lmlab.config.rank_batch import per_rank_batch
from lmlab.errors import Check, ConfigError, check_settings, suggestion

_MINIMUM = {"ranks": 1, "nodes": 1, "gpus": 0, "cpus": 1, "time_min": 1}


@dataclasses.dataclass(frozen=True)
class Resources:
    """A resource request; all jobs of an array share it.

    Attributes:
        partition: null for the cluster's default.
        ranks: processes that share each batch of a run; the tasks of its job.
        nodes: machines that the ranks are spread over evenly.
        gpus: GPUs per rank.
        cpus: cores per rank.
        mem_gb: memory of a job on each of its nodes, in gigabytes; null for the cluster's default.
        time_min: time limit of one session of a job, in minutes.
        constraint: features that the node must have.
        account: account to charge.
        qos: quality of service.
        sbatch: further options of sbatch, each ``--key=value`` or ``--key``.
        setup: shell commands that the job runs first, such as ``module load``.
    """

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
    sbatch: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Resources:
        """Check options of ``hydra.launcher``. Raises :class:`ConfigError`."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key, value in options.items():
            if key not in known:
                raise ConfigError(
                    f"hydra.launcher.{key}={value}: unknown resource, expected one of "
                    f"{', '.join(known)}",
                    suggestion(key, known),
                )
        check_settings(_check_option(key, value) for key, value in options.items())
        checked: dict[str, Any] = dict(options)
        for key in ("sbatch", "setup"):
            checked[key] = tuple(checked.get(key, ()))
        resources = cls(**checked)
        resources._check_ranks()
        return resources

    def with_options(self, options: Mapping[str, Any]) -> Resources:
        """Return a copy with some options replaced. Raises :class:`ConfigError`."""
        return self.from_options(dataclasses.asdict(self) | dict(options))

    def _check_ranks(self) -> None:
        if self.ranks % self.nodes:
            multiple = max(1, self.ranks // self.nodes) * self.nodes
            raise ConfigError(
                f"hydra.launcher.ranks={self.ranks}: expected a multiple of nodes={self.nodes}",
                f"set hydra.launcher.ranks={multiple}, for example",
            )
        if self.ranks > 1 and self.gpus > 1:
            raise ConfigError(
                f"hydra.launcher.gpus={self.gpus}: expected 0 or 1 GPUs per rank with "
                f"ranks={self.ranks}",
                "set hydra.launcher.gpus=1; each rank computes on one GPU",
            )

    def sbatch_options(self) -> dict[str, str | bool]:
        """Return :attr:`sbatch` as keys and values."""
        pairs = (line.removeprefix("--").partition("=") for line in self.sbatch)
        return {key: value if sign else True for key, sign, value in pairs}


def _check_option(key: str, value: Any) -> Check:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if key in _MINIMUM:
        is_valid = is_number and isinstance(value, int) and value >= _MINIMUM[key]
        expected = f"an integer of at least {_MINIMUM[key]}"
    elif key == "mem_gb":
        is_valid = value is None or (is_number and value > 0)
        expected = "null, or gigabytes above 0"
    elif key == "setup":
        is_valid = is_list and all(isinstance(line, str) for line in value)
        expected = "a list of shell commands"
    elif key == "sbatch":
        is_valid = is_list and all(isinstance(x, str) and x.startswith("--") for x in value)
        expected = "a list of sbatch options such as --exclude=node7"
    else:
        is_valid, expected = value is None or isinstance(value, str), "null or a name"
    return Check(f"hydra.launcher.{key}", value, is_valid, expected)


@dataclasses.dataclass(frozen=True)
class ArmResources:
    """The resources of every arm.

    Attributes:
        common: resources of arms that no pattern matches.
        per_arm: changes by pattern of arm names; the first matching pattern applies.
        arms_per_job: runs that share the resources of one job, all at once.
    """

    common: Resources
    per_arm: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    arms_per_job: int = 1

    def for_arm(self, arm: str) -> Resources:
        """Return the request for an arm. Raises :class:`ConfigError`."""
        resources = self.common
        for pattern, options in self.per_arm.items():
            if fnmatch.fnmatchcase(arm, pattern):
                resources = self.common.with_options(options)
                break
        if resources.ranks > 1 and self.arms_per_job > 1:
            raise ConfigError(
                f"hydra.launcher.arms_per_job={self.arms_per_job}: expected 1 with "
                f"ranks={resources.ranks}",
                "set hydra.launcher.arms_per_job=1, or hydra.launcher.ranks=1",
            )
        return resources

    def resolve_runtime(self, content: dict[str, Any], arm: str) -> dict[str, Any]:
        """Return a plain configuration with the ``runtime`` of the job, not of this machine.

        With GPUs, ``auto`` resolves to CUDA, bf16 and compiled. Otherwise it resolves to the CPU
        with the policy and compilation of this machine, which must be like the job's. Threads are
        the cores of a rank, divided among the runs of the job. The submitting machine, which may
        have no GPU, thereby knows the identity of each run.

        Raises:
            ConfigError: ``runtime.device`` or ``runtime.parallel`` contradicts the request, or the
                ranks of the job cannot share the run's batch.
        """
        resources = self.for_arm(arm)
        resolved = copy.deepcopy(content)
        runtime = resolved["runtime"]
        kind = "cuda" if resources.gpus else "cpu"
        if runtime["device"] not in ("auto", kind):
            raise ConfigError(
                f"runtime.device={runtime['device']}: expected auto or {kind}, because the jobs of "
                f"{arm} request {resources.gpus} GPUs",
                "change hydra.launcher.gpus or runtime.device",
            )
        runtime["device"] = kind
        if resources.gpus:
            if runtime["policy"] == "auto":
                runtime["policy"] = "bf16"
            if runtime["compile"] == "auto":
                runtime["compile"] = True
        if runtime["threads"] == "auto":
            runtime["threads"] = max(1, resources.cpus // self.arms_per_job)
        if resources.ranks > 1:
            if runtime["parallel"] == "none":
                raise ConfigError(
                    f"runtime.parallel=none: expected auto, because the jobs of {arm} request "
                    f"{resources.ranks} ranks",
                    "set runtime.parallel=auto or hydra.launcher.ranks=1",
                )
            training = from_dict(resolved).training
            per_rank_batch(training.batch_size, training.micro_batch_size, resources.ranks)
        return resolved
