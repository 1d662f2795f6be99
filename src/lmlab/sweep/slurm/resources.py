"""The resources that jobs request from Slurm, and what their runs then compute with."""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.config.compose import from_dict
from lmlab.config.rank_batch import per_rank_batch
from lmlab.console.formatting import format_count
from lmlab.errors import Check, ConfigError, check_settings, suggestion

LAUNCHER = "hydra.launcher"
_MINIMUM = {"ranks": 1, "nodes": 1, "gpus": 0, "cpus": 1, "time_min": 1}
# Options of sbatch that have a setting of their own. Those that say more than the setting, such as
# --gpus-per-node=a100:1 and --mem=0, are not among them.
_SETTING_OF_OPTION = {
    "partition": "partition", "ntasks": "ranks", "ntasks-per-node": "ranks", "nodes": "nodes",
    "cpus-per-task": "cpus", "time": "time_min",
    "constraint": "constraint", "account": "account", "qos": "qos", "signal": "signal_seconds",
    "array": "array_parallelism",
}  # fmt: skip
# Options without which lmlab cannot follow, stop or resume its jobs.
_RESERVED_OPTIONS = frozenset((
    "job-name", "output", "error", "open-mode", "requeue", "no-requeue", "parsable", "quiet",
    "wait", "wrap", "test-only", "help", "usage", "version", "clusters",
))  # fmt: skip


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
    def from_options(cls, options: Mapping[str, Any], prefix: str = LAUNCHER) -> Resources:
        """Check the options of a request.

        Args:
            options: values by key.
            prefix: the setting that holds the keys.

        Raises:
            ConfigError: a key is unknown, or a value is invalid.
        """
        check_keys(options, prefix)
        if isinstance(options.get("account"), int):  # some clusters number their accounts
            options = {**options, "account": str(options["account"])}
        check_settings(_check_option(prefix, key, value) for key, value in options.items())
        for option in options.get("sbatch", ()):
            _check_sbatch_option(option, prefix)
        checked: dict[str, Any] = dict(options)
        for key in ("sbatch", "setup"):
            checked[key] = tuple(checked.get(key, ()))
        resources = cls(**checked)
        resources._check_ranks()
        return resources

    def with_options(self, options: Mapping[str, Any], prefix: str = LAUNCHER) -> Resources:
        """Return a copy with some options replaced; see :meth:`from_options`."""
        check_keys(options, prefix)
        return self.from_options(dataclasses.asdict(self) | dict(options), prefix)

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


def check_keys(options: Any, prefix: str) -> None:
    """Raise :class:`ConfigError` unless options are resources by key."""
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"{prefix}={options}: expected resources by key, such as {{mem_gb: 8, time_min: 60}}"
        )
    known = [field.name for field in dataclasses.fields(Resources)]
    for key, value in options.items():
        if key not in known:
            raise ConfigError(
                f"{prefix}.{key}={value}: unknown resource, expected one of {', '.join(known)}",
                suggestion(str(key), known),
            )


def _check_sbatch_option(option: str, prefix: str) -> None:
    """Refuse an option that would contradict a setting, or break what lmlab does with its jobs."""
    name = option.removeprefix("--").replace(" ", "=").partition("=")[0]
    setting = _SETTING_OF_OPTION.get(name)
    if setting is not None or name in _RESERVED_OPTIONS:
        raise ConfigError(
            f"{prefix}.sbatch={option}: expected options that lmlab does not set itself",
            f"remove it and set {LAUNCHER}.{setting}" if setting else "remove it",
        )


def _check_option(prefix: str, key: str, value: Any) -> Check:
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
        is_name = isinstance(value, str) and value.strip() == value != ""
        is_valid, expected = value is None or is_name, "null or a name"
    return Check(f"{prefix}.{key}", value, is_valid, expected)


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

    def pattern_of(self, arm: str) -> str | None:
        """Return the first pattern of :attr:`per_arm` that matches an arm."""
        return next((one for one in self.per_arm if fnmatch.fnmatchcase(arm, one)), None)

    def setting(self, arm: str, key: str) -> str:
        """Return the setting that holds a key of an arm's request."""
        pattern = self.pattern_of(arm)
        is_changed = pattern is not None and key in self.per_arm[pattern]
        return f"{LAUNCHER}.per_arm.{pattern}.{key}" if is_changed else f"{LAUNCHER}.{key}"

    def unmatched_patterns(self, arms: Sequence[str]) -> list[str]:
        """Describe the patterns that match no arm; a file may have some for other studies."""
        listed = ", ".join(sorted(set(arms)))
        return [
            f"{LAUNCHER}.per_arm.{pattern}: no arm matches; the arms are {listed}"
            for pattern in self.per_arm
            if not any(fnmatch.fnmatchcase(arm, pattern) for arm in arms)
        ]

    def for_arm(self, arm: str) -> Resources:
        """Return the request for an arm. Raises :class:`ConfigError`."""
        resources = self.common
        pattern = self.pattern_of(arm)
        if pattern is not None:
            prefix = f"{LAUNCHER}.per_arm.{pattern}"
            resources = self.common.with_options(self.per_arm[pattern], prefix)
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
                f"{arm} request {format_count(resources.gpus, 'GPU')}",
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
                    f"{format_count(resources.ranks, 'rank')}",
                    "set runtime.parallel=auto or hydra.launcher.ranks=1",
                )
            training = from_dict(resolved).training
            per_rank_batch(training.batch_size, training.micro_batch_size, resources.ranks)
        return resolved
