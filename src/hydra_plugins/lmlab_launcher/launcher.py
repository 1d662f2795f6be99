"""Runs the jobs of a multirun on this machine."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from lmlab.config.compose import freeze
from lmlab.config.run_config import RunConfig
from lmlab.design.manifest import Manifest
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
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what composing the jobs needs; the task function belongs to single runs."""
        self.hydra_context = hydra_context
        self.config = config

    def compose(self, overrides: Sequence[str], swept: Collection[str] = ()) -> RunConfig:
        """The frozen configuration of one job. Raises :class:`ConfigError`."""
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        chosen = tuple(one.input_line or "" for one in parsed if _chooses(one, loader))
        config = copy.deepcopy(self._choose(loader, chosen))
        values = [one for one in parsed if not _chooses(one, loader)]
        loader._apply_overrides_to_config(values, config)
        return freeze(config, overrides, swept)

    def _choose(self, loader: ConfigLoaderImpl, chosen: tuple[str, ...]) -> DictConfig:
        """The options of groups put together, once for all jobs that choose the same ones.

        It takes Hydra a tenth of a second, and jobs often differ in values alone.
        """
        if chosen not in self._composed:
            assert self.config is not None
            config = loader.load_sweep_config(self.config, list(chosen))
            with open_dict(config):
                del config["hydra"]
            self._composed[chosen] = config
        return self._composed[chosen]

    def run_sweep(self, manifest: Manifest) -> int:
        """Carry the sweep out on this machine; its exit code."""
        # Torch takes seconds to import: mistakes in the configurations are told before.
        from lmlab.sweep.local_launch import LocalLaunchSettings, run_local_sweep

        return run_local_sweep(
            manifest,
            LocalLaunchSettings(self.jobs_per_device, self.plan_only, self.report, self.stack),
        )

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Not used: lmlab's sweeper submits all jobs of a multirun at once."""
        raise ConfigError(
            "hydra/launcher=lmlab needs hydra/sweeper=lmlab; leave both at their defaults"
        )


def _chooses(override: Override, loader: ConfigLoaderImpl) -> bool:
    """Whether an override chooses an option of a group, as Hydra tells it from a value."""
    if override.is_hydra_override():
        return True  # for the part of the configuration that jobs do not see
    is_value = isinstance(override.value(), dict)
    return not is_value and bool(loader.repository.group_exists(override.key_or_group))
