"""The settings of ``hydra.launcher`` for Slurm, checked without importing torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lmlab.design.manifest import Manifest
from lmlab.errors import Check, ConfigError, check_settings
from lmlab.sweep.slurm.resources import ArmResources, Resources


@dataclasses.dataclass(frozen=True)
class SubmissionSettings:
    """How jobs are submitted.

    Attributes:
        resources: resources of each arm.
        array_parallelism: jobs of an array that may run at once.
        signal_seconds: seconds before the time limit at which a job saves and is requeued.
        retries: submissions of a killed job without progress before its run counts as failed.
        poll_seconds: seconds between queries to Slurm.
    """

    resources: ArmResources
    array_parallelism: int = 64
    signal_seconds: int = 90
    retries: int = 3
    poll_seconds: float = 10.0


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
                f"hydra.launcher.{key}",
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
        common = Resources.from_options(resources)
        arm_resources = ArmResources(common, per_arm, arms_per_job)
        for pattern in ("", *per_arm):
            arm_resources.for_arm(pattern)  # report mistakes before anything is prepared
        driver_resources = common.with_options({"gpus": 0, "ranks": 1, "nodes": 1} | dict(driver))
        if driver_resources.ranks > 1:
            raise ConfigError(
                f"hydra.launcher.driver.ranks={driver_resources.ranks}: expected 1, because one "
                "process drives a study",
                "remove ranks from hydra.launcher.driver",
            )
        submission = SubmissionSettings(
            arm_resources, array_parallelism, signal_seconds, retries, poll_seconds
        )
        return cls(submission, wait, driver_resources, plan_only, report)

    def resolve_runtime(self, manifest: Manifest) -> Manifest:
        """Resolve the runtime of each run for its job; see :meth:`ArmResources.resolve_runtime`.

        Raises:
            ConfigError: the runtime of a run contradicts the resources of its job.
        """
        resources = self.submission.resources
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
        """Invert :meth:`as_dict`."""
        submission = dict(content["submission"])
        resources = dict(submission.pop("resources"))
        common = Resources.from_options(resources.pop("common"))
        driver = Resources.from_options(content["driver"])
        return cls(
            **content
            | {
                "submission": SubmissionSettings(ArmResources(common, **resources), **submission),
                "driver": driver,
            }
        )
