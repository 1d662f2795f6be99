"""The settings of ``hydra.launcher`` for Slurm, checked without importing torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from lmlab.design.manifest import Manifest
from lmlab.errors import Check, ConfigError, check_settings
from lmlab.sweep.slurm.resources import LAUNCHER, ArmResources, Resources, check_keys


@dataclasses.dataclass(frozen=True)
class SubmissionSettings:
    """How jobs are submitted.

    Attributes:
        resources: resources of each arm.
        array_parallelism: jobs of one resource request that may run at once.
        signal_seconds: seconds before the time limit at which a job saves and is requeued.
        retries: submissions of a killed job without progress before its run counts as failed.
        poll_seconds: seconds between queries to Slurm.
    """

    resources: ArmResources
    array_parallelism: int = 64
    signal_seconds: int = 90
    retries: int = 3
    poll_seconds: float = 10.0

    def check_time(self, resources: Resources, setting: str) -> None:
        """Raise :class:`ConfigError` if Slurm would send its signal when the job starts.

        Args:
            resources: the request of the job.
            setting: the setting of its time limit.
        """
        if resources.time_min * 60 > self.signal_seconds:
            return
        raise ConfigError(
            f"{setting}={resources.time_min}: expected more minutes than the "
            f"{self.signal_seconds} seconds of {LAUNCHER}.signal_seconds, because a job saves and "
            "is requeued that long before its time limit",
            # Slurm may send the signal up to a minute early.
            f"set {setting}={self.signal_seconds // 60 + 2}, or "
            f"{LAUNCHER}.signal_seconds={resources.time_min * 30}",
        )


@dataclasses.dataclass(frozen=True)
class SlurmSettings:
    """How a sweep runs under Slurm.

    Attributes:
        submission: how jobs are submitted.
        wait: follow the jobs; False returns at once and leaves the rest to the driver job.
        driver: resources of the job that drives a detached sweep.
        plan_only: print the plan and submit nothing.
        report: write the report at the end.
    """

    submission: SubmissionSettings
    wait: bool = True
    driver: Resources = dataclasses.field(default_factory=Resources)
    plan_only: bool = False
    report: bool = True

    @classmethod
    def from_options(
        cls,
        *,
        resources: Mapping[str, Any],
        per_arm: Mapping[str, Mapping[str, Any]],
        driver: Mapping[str, Any],
        arms_per_job: int,
        array_parallelism: int,
        signal_seconds: int,
        retries: int,
        poll_seconds: float,
        wait: bool,
        plan_only: bool,
        report: bool,
    ) -> SlurmSettings:
        """Check options of ``hydra.launcher``. Raises :class:`ConfigError`."""
        check_settings(
            Check(
                f"{LAUNCHER}.{key}",
                value,
                isinstance(value, int) and not isinstance(value, bool) and value >= minimum,
                f"an integer of at least {minimum}",
            )
            for key, value, minimum in (
                ("arms_per_job", arms_per_job, 1),
                ("array_parallelism", array_parallelism, 1),
                ("signal_seconds", signal_seconds, 1),
                ("retries", retries, 0),
            )
        )
        switches = {"wait": wait, "plan_only": plan_only, "report": report}
        check_settings(
            Check(f"{LAUNCHER}.{key}", value, isinstance(value, bool), "true or false")
            for key, value in switches.items()
        )
        is_number = isinstance(poll_seconds, int | float) and not isinstance(poll_seconds, bool)
        check_settings([Check(
            f"{LAUNCHER}.poll_seconds", poll_seconds, is_number and 0 < poll_seconds < math.inf,
            "seconds above 0",
        )])  # fmt: skip
        common = Resources.from_options(resources)
        arm_resources = ArmResources(common, _arm_options(per_arm), arms_per_job)
        for pattern in ("", *arm_resources.per_arm):
            arm_resources.for_arm(pattern)  # report mistakes before anything is prepared
        submission = SubmissionSettings(
            arm_resources, array_parallelism, signal_seconds, retries, poll_seconds
        )
        driver_resources = _driver_resources(common, driver)
        if not wait:
            submission.check_time(driver_resources, f"{LAUNCHER}.driver.time_min")
        return cls(submission, wait, driver_resources, plan_only, report)

    def resolve_runtime(self, manifest: Manifest) -> Manifest:
        """Resolve the runtime of each run for its job; see :meth:`ArmResources.resolve_runtime`.

        Raises:
            ConfigError: the runtime of a run contradicts the resources of its job, or a job is too
                short to save.
        """
        resources = self.submission.resources
        for name in manifest.names:
            self.submission.check_time(resources.for_arm(name), resources.setting(name, "time_min"))
        arms = [
            resources.resolve_runtime(content, name)
            for content, name in zip(manifest.arms, manifest.names, strict=True)
        ]
        return dataclasses.replace(manifest, arms=arms)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> SlurmSettings:
        """Invert :meth:`as_dict`.

        Raises:
            ConfigError: a value is invalid.
            KeyError, TypeError, ValueError: one is missing, unknown, or of the wrong type.
        """
        options = dict(content)
        submission = dict(options.pop("submission"))
        resources = dict(submission.pop("resources"))
        common = resources.pop("common")
        return cls.from_options(resources=common, **resources, **submission, **options)


def _arm_options(per_arm: Any) -> dict[str, dict[str, Any]]:
    """Return ``per_arm`` with text keys. Raises :class:`ConfigError` if it is no mapping."""
    if per_arm is None:
        return {}
    if not isinstance(per_arm, Mapping):
        raise ConfigError(
            f"{LAUNCHER}.per_arm={per_arm}: expected resources by pattern, such as "
            "{*large*: {mem_gb: 64}}"
        )
    for pattern, options in per_arm.items():
        check_keys(options, f"{LAUNCHER}.per_arm.{pattern}")
    return {str(pattern): dict(options) for pattern, options in per_arm.items()}


def _driver_resources(common: Resources, driver: Any) -> Resources:
    """Return the request of the driver: that of the arms with one process and no GPU."""
    prefix = f"{LAUNCHER}.driver"
    changes = {} if driver is None else driver
    check_keys(changes, prefix)
    alone = common.with_options({"gpus": 0, "ranks": 1, "nodes": 1})
    resources = alone.with_options(changes, prefix)
    if resources.ranks > 1:
        raise ConfigError(
            f"{prefix}.ranks={resources.ranks}: expected 1, because one process drives a study",
            f"remove ranks from {prefix}",
        )
    return resources
