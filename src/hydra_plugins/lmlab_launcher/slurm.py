"""Run the jobs of a multirun with Slurm."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from hydra_plugins.lmlab_launcher.launcher import LocalLauncher
from lmlab.design.manifest import Manifest
from lmlab.sweep.slurm.settings import SlurmSettings
from lmlab.sweep.slurm.site_defaults import apply_site_defaults


class SlurmLauncher(LocalLauncher):
    """Compose and check every job, then submit all of them with :mod:`lmlab.sweep.slurm`.

    Args:
        wait: follow the jobs in this process; False returns at once.
        arms_per_job: concurrent runs that share one job's resources.
        array_parallelism: concurrent jobs of one resource request.
        signal_seconds: seconds before the time limit at which a job saves and is requeued.
        retries: resubmissions of a killed job that made no progress.
        poll_seconds: seconds between queries of Slurm.
        per_arm: resources of arms whose names match a pattern.
        driver: resources of the job that drives a detached sweep.
        plan_only: print the plan and submit nothing.
        report: write the report at the end.
        resources: see :class:`lmlab.sweep.slurm.resources.Resources`.
    """

    def __init__(
        self,
        *,
        wait: bool,
        arms_per_job: int,
        array_parallelism: int,
        signal_seconds: int,
        retries: int,
        poll_seconds: float,
        per_arm: Mapping[str, Any],
        driver: Mapping[str, Any],
        plan_only: bool,
        report: bool,
        **resources: Any,
    ) -> None:
        super().__init__(plan_only=plan_only, report=report)
        self.settings: dict[str, Any] = {
            "wait": wait,
            "arms_per_job": arms_per_job,
            "array_parallelism": array_parallelism,
            "signal_seconds": signal_seconds,
            "retries": retries,
            "poll_seconds": poll_seconds,
            "per_arm": _plain(per_arm),
            "driver": _plain(driver),
            "plan_only": plan_only,
            "report": report,
            "resources": {key: _plain(value) for key, value in resources.items()},
        }

    def run_sweep(self, manifest: Manifest) -> int:
        """Submit the sweep; return its exit code."""
        resources, lines = apply_site_defaults(self.settings["resources"], os.environ)
        for line in lines:
            print(line, file=sys.stderr)
        settings = SlurmSettings.from_options(**self.settings | {"resources": resources})
        resolved = settings.resolve_runtime(manifest)
        # Imported late: torch takes seconds, and errors in settings are reported first.
        from lmlab.sweep.slurm.slurm_launch import run_slurm_sweep

        return run_slurm_sweep(resolved, settings)


def _plain(value: Any) -> Any:
    if isinstance(value, DictConfig | ListConfig):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
