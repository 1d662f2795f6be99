"""How a sweep goes to Slurm: the settings of ``hydra.launcher``, checked without torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError
from lmlab.sweep.slurm.resources import Requests, Resources


@dataclasses.dataclass(frozen=True)
class Submitting:
    """How jobs are submitted.

    Attributes:
        requests: resources by arm.
        array_parallelism: jobs of an array that may run at once.
        signal_seconds: before the time limit, when a job is told to save and be queued again.
        retries: how often a job that was killed is submitted again without having got further.
        poll_seconds: between questions to Slurm.
    """

    requests: Requests
    array_parallelism: int = 64
    signal_seconds: int = 90
    retries: int = 3
    poll_seconds: float = 10.0


@dataclasses.dataclass(frozen=True)
class SlurmLaunch:
    """How a sweep is launched under Slurm.

    Attributes:
        submitting: how jobs are submitted.
        wait: follow them here; False leaves at once, and a job of its own drives what depends on
            results and writes the report.
        driver: what that job asks Slurm for.
        plan_only: tell the plan and submit nothing.
        report: write the report at the end.
    """

    submitting: Submitting
    wait: bool = True
    driver: Resources = dataclasses.field(default_factory=Resources)
    plan_only: bool = False
    report: bool = True

    @classmethod
    def of(
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
        **ways: bool,
    ) -> SlurmLaunch:
        """Checked settings. Raises :class:`ConfigError`."""
        for key, value, least in (
            ("arms_per_job", arms_per_job, 1),
            ("array_parallelism", array_parallelism, 1),
            ("signal_seconds", signal_seconds, 1),
            ("retries", retries, 0),
        ):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(
                    f"hydra.launcher.{key}={value}: accepted is a whole number, at least {least}"
                )
        common = Resources.of(resources)
        requests = Requests(common, per_arm, arms_per_job)
        for pattern in ("", *per_arm):
            requests.of(pattern)  # mistakes are told before anything is prepared
        how = Submitting(requests, array_parallelism, signal_seconds, retries, poll_seconds)
        alone = common.changed({"gpus": 0, "ranks": 1, "nodes": 1} | dict(driver))
        if alone.ranks > 1:
            raise ConfigError(
                f"hydra.launcher.driver.ranks={alone.ranks}: accepted is 1, for a study is driven "
                "by one process"
            )
        return cls(how, driver=alone, **ways)

    def settle(self, manifest: Manifest) -> Manifest:
        """The manifest whose runs compute as their jobs will; see :meth:`Requests.settle`.

        Raises:
            ConfigError: a run asks for what its job does not have.
        """
        requests = self.submitting.requests
        arms = [
            requests.settle(content, name)
            for content, name in zip(manifest.arms, manifest.names, strict=True)
        ]
        return dataclasses.replace(manifest, arms=arms)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> SlurmLaunch:
        """The inverse of :meth:`as_dict`."""
        how = dict(content["submitting"])
        requests = dict(how.pop("requests"))
        common = Resources.of(requests.pop("common"))
        submitting = Submitting(requests=Requests(common, **requests), **how)
        return cls(
            **content | {"submitting": submitting, "driver": Resources.of(content["driver"])}
        )
