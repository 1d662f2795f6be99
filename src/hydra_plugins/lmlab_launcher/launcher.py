"""Runs the jobs of a multirun on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from lmlab.config.compose import freeze
from lmlab.sweep import local


class LocalLauncher(Launcher):
    """Composes and checks every job first, then runs each in its own process."""

    def __init__(self) -> None:
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what composing the jobs needs; the task function belongs to single runs."""
        self.hydra_context = hydra_context
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run one job for each list of overrides; the return values are their exit codes."""
        assert self.hydra_context is not None
        assert self.config is not None
        pairs = [dict(text.split("=", 1) for text in texts) for texts in job_overrides]
        swept = {key for pair in pairs for key in pair if len({p.get(key) for p in pairs}) > 1}
        frozen = []
        for overrides in job_overrides:
            config = self.hydra_context.config_loader.load_sweep_config(
                self.config, list(overrides)
            )
            with open_dict(config):
                del config["hydra"]
            frozen.append(freeze(config, overrides, swept))
        codes = local.run_jobs(frozen)
        return [
            JobReturn(
                overrides=list(overrides),
                cfg=config,
                status=JobStatus.COMPLETED,
                _return_value=code,
            )
            for overrides, config, code in zip(job_overrides, frozen, codes, strict=True)
        ]
