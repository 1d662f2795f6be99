"""What a job asks Slurm for, and what a run computes with once it has it."""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.config.compose import from_dict
from lmlab.config.rank_batch import per_rank_batch
from lmlab.errors import ConfigError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Resources:
    """A resource request; the jobs of one array share it.

    Attributes:
        partition: null is the cluster's default.
        ranks: processes that share each batch of a run, the tasks of its job.
        nodes: machines that they are spread over, equally.
        gpus: of each rank.
        cpus: cores of each rank.
        mem_gb: memory of one job on each of its nodes; null is the cluster's default.
        time_min: time limit of one session of a job, in minutes.
        constraint: features that the node must have.
        account: to be charged.
        qos: quality of service.
        sbatch: more options of sbatch, each ``--key=value`` or ``--key``.
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
    def of(cls, content: Mapping[str, Any]) -> Resources:
        """Checked resources. Raises :class:`ConfigError`."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key, value in content.items():
            if key not in known:
                raise ConfigError(
                    f"hydra.launcher: {key}={value}: accepted resources are "
                    f"{', '.join(known)}{did_you_mean(key, known)}"
                )
            _check(key, value)
        kept: dict[str, Any] = dict(content)
        for key in ("sbatch", "setup"):
            kept[key] = tuple(kept.get(key, ()))
        whole = cls(**kept)
        whole._check_ranks()
        return whole

    def changed(self, content: Mapping[str, Any]) -> Resources:
        """With some of them replaced. Raises :class:`ConfigError`."""
        return self.of(dataclasses.asdict(self) | dict(content))

    def _check_ranks(self) -> None:
        if self.ranks % self.nodes:
            raise ConfigError(
                f"hydra.launcher.ranks={self.ranks}: accepted with nodes={self.nodes} is a "
                f"multiple of it, for example {max(1, self.ranks // self.nodes) * self.nodes}"
            )
        if self.ranks > 1 and self.gpus > 1:
            raise ConfigError(
                f"hydra.launcher.gpus={self.gpus}: they are those of each rank, which computes on "
                f"one; accepted with ranks={self.ranks} is 0 or 1"
            )

    def options(self) -> dict[str, str | bool]:
        """What :attr:`sbatch` says, as keys and values."""
        pairs = (line.removeprefix("--").partition("=") for line in self.sbatch)
        return {key: value if sign else True for key, sign, value in pairs}


def _check(key: str, value: Any) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    lists = isinstance(value, Sequence) and not isinstance(value, str)
    least = {"ranks": 1, "nodes": 1, "gpus": 0, "cpus": 1, "time_min": 1}
    if key in least:
        fits, accepted = whole and value >= least[key], f"a whole number, at least {least[key]}"
    elif key == "mem_gb":
        fits = value is None or (isinstance(value, int | float) and not isinstance(value, bool)
                                 and value > 0)  # fmt: skip
        accepted = "null, or gigabytes above 0"
    elif key == "setup":
        fits = lists and all(isinstance(line, str) for line in value)
        accepted = "a list of shell commands"
    elif key == "sbatch":
        fits = lists and all(isinstance(line, str) and line.startswith("--") for line in value)
        accepted = "a list of options of sbatch such as --exclude=node7"
    else:
        fits, accepted = value is None or isinstance(value, str), "null or a name"
    if not fits:
        raise ConfigError(f"hydra.launcher.{key}={value}: accepted is {accepted}")


@dataclasses.dataclass(frozen=True)
class Requests:
    """The resources of every arm.

    Attributes:
        common: of arms that nothing else is said of.
        per_arm: patterns of arm names, with what they change; the first that matches counts.
        arms_per_job: arms that share the resources of one job, all at once.
    """

    common: Resources
    per_arm: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    arms_per_job: int = 1

    def of(self, arm: str) -> Resources:
        """The request for an arm. Raises :class:`ConfigError`."""
        found = self.common
        for pattern, changes in self.per_arm.items():
            if fnmatch.fnmatchcase(arm, pattern):
                found = self.common.changed(changes)
                break
        if found.ranks > 1 and self.arms_per_job > 1:
            raise ConfigError(
                f"hydra.launcher.arms_per_job={self.arms_per_job}: accepted with ranks="
                f"{found.ranks} is 1: either several runs share a job, or several ranks a run"
            )
        return found

    def settle(self, content: dict[str, Any], arm: str) -> dict[str, Any]:
        """A plain configuration whose ``runtime`` is that of the job, not of this machine.

        With GPUs, ``auto`` means CUDA, bf16 and compiled; else the CPU, with the policy and the
        compilation that this machine, which must be like the job's, would choose. Threads are as
        many as a rank's cores, shared among the job's arms. So the submitting machine, which may
        have no GPU, knows each run's identity.

        Raises:
            ConfigError: ``runtime.device`` or ``runtime.parallel`` is not what the job asks for,
                or the job's ranks cannot share the run's batch.
        """
        resources = self.of(arm)
        settled = copy.deepcopy(content)
        runtime = settled["runtime"]
        kind = "cuda" if resources.gpus else "cpu"
        if runtime["device"] not in ("auto", kind):
            raise ConfigError(
                f"runtime.device={runtime['device']}: the jobs of {arm} ask Slurm for "
                f"{resources.gpus} GPUs; accepted is auto or {kind}, or change hydra.launcher.gpus"
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
                    f"runtime.parallel=none: the jobs of {arm} ask Slurm for {resources.ranks} "
                    "ranks; leave it at auto, or set hydra.launcher.ranks=1"
                )
            training = from_dict(settled).training
            per_rank_batch(training.batch_size, training.micro_batch_size, resources.ranks)
        return settled
