"""Runs the jobs of a multirun on this machine."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from lmlab.config.compose import Config, freeze
from lmlab.errors import ConfigError


class LocalLauncher(Launcher):
    """Composes and checks every job first, then hands all to :mod:`lmlab.sweep`.

    Args:
        jobs_per_device: jobs at a time on each GPU (or on the CPU); ``auto`` is one a GPU, and on
            a CPU as many as there are cores for the threads of one job.
        stack: runs that differ only in seeds, initial weights, optimizer and schedule and train as
            one model: at most so many of them, ``off``, or ``auto`` where that is faster.
        plan_only: tell the plan and run nothing.
        report: write the report at the end.
    """

    def __init__(
        self,
        jobs_per_device: int | str = "auto",
        stack: int | str = "auto",
        plan_only: bool = False,
        report: bool = True,
    ) -> None:
        self.jobs_per_device, self.stack = jobs_per_device, stack
        self.plan_only, self.report = plan_only, report
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what composing the jobs needs; the task function belongs to single runs."""
        self.hydra_context = hydra_context
        self.config = config

    def compose(self, overrides: Sequence[str], swept: Collection[str] = ()) -> Config:
        """The frozen configuration of one job. Raises :class:`ConfigError`."""
        assert self.hydra_context is not None
        assert self.config is not None
        loader = self.hydra_context.config_loader
        config = loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            del config["hydra"]
        return freeze(config, overrides, swept)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Not used: lmlab's sweeper submits all jobs of a multirun at once."""
        raise ConfigError(
            "hydra/launcher=lmlab needs hydra/sweeper=lmlab; leave both at their defaults"
        )
