"""Run the jobs of a multirun with Slurm."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf

from hydra_plugins.lmlab_launcher.launcher import LocalLauncher
from hydra_plugins.lmlab_launcher.options import SlurmOptions, read_options
from lmlab.config.hydra_settings import environment
from lmlab.config.run_length import require_known_steps
from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError
from lmlab.sweep.slurm.resources import Resources
from lmlab.sweep.slurm.settings import SlurmSettings
from lmlab.sweep.slurm.site_defaults import apply_site_defaults

# Options that are resources of a job.
_RESOURCES = tuple(field.name for field in dataclasses.fields(Resources))


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

    def __init__(self, **options: Any) -> None:
        read = read_options(SlurmOptions, {key: _plain(value) for key, value in options.items()})
        super().__init__(plan_only=read["plan_only"], report=read["report"])
        kept = [key for key in read if key not in _RESOURCES]
        self.settings: dict[str, Any] = {key: read[key] for key in kept} | {
            "resources": {key: read[key] for key in _RESOURCES}
        }

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Let the jobs set the environment variables of ``hydra.job.env_set`` first."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        variables = environment(config)
        exports = [f"export {key}={shlex.quote(value)}" for key, value in variables.items()]
        resources = self.settings["resources"]
        resources["setup"] = [*exports, *resources["setup"]]
        for options in (*self.settings["per_arm"].values(), self.settings["driver"]):
            if isinstance(options, dict) and isinstance(options.get("setup"), list):
                options["setup"] = [*exports, *options["setup"]]

    def run_sweep(self, manifest: Manifest) -> int:
        """Submit the sweep; return its exit code.

        Raises:
            ConfigError: a setting is not valid, or the steps of a job are not known.
        """
        for content in manifest.arms:
            require_known_steps(content, "with hydra/launcher=slurm, whose jobs wait for a machine")
        resources, lines = apply_site_defaults(self.settings["resources"], os.environ)
        for line in lines:
            print(line, file=sys.stderr)
        settings = SlurmSettings.from_options(
            **self.settings | {"resources": resources, "report": self.report}
        )
        resolved = settings.resolve_runtime(manifest)
        for line in settings.submission.resources.unmatched_patterns(manifest.names):
            print(f"warning: {line}", file=sys.stderr)
        # Imported late: torch takes seconds, and errors in settings are reported first.
        from lmlab.sweep.slurm.slurm_launch import run_slurm_sweep

        return run_slurm_sweep(resolved, settings)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch; see :meth:`LocalLauncher.launch`."""
        if not self.settings["wait"]:
            raise ConfigError(
                "hydra.launcher.wait=false: expected true with a sweeper that waits for results",
                "remove one of the two",
            )
        return super().launch(job_overrides, initial_job_idx)


def _plain(value: Any) -> Any:
    if isinstance(value, DictConfig | ListConfig):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
