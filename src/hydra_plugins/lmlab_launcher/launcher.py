"""Run the jobs of a multirun on this machine."""

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
    """Compose and check every job, then run all of them with :mod:`lmlab.sweep`.

    Args:
        jobs_per_device: concurrent jobs on each GPU, or on the CPU. ``auto`` is one per GPU; on a
            CPU it divides the cores by the threads of a job.
        stack: maximum number of runs to train as one model, of those that differ only in seeds,
            initial weights, optimizer and schedule; ``off``, or ``auto`` where that is faster.
        plan_only: print the plan and run nothing.
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
        """Keep what is needed to compose jobs; only single runs use the task function."""
        self.hydra_context = hydra_context
        self.config = config

    def compose(self, overrides: Sequence[str], swept: Collection[str] = ()) -> RunConfig:
        """Compose and freeze the configuration of one job. Raises :class:`ConfigError`."""
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        selections = tuple(
            override.input_line or "" for override in parsed if _selects_option(override, loader)
        )
        config = copy.deepcopy(self._compose_options(loader, selections))
        values = [override for override in parsed if not _selects_option(override, loader)]
        loader._apply_overrides_to_config(values, config)
        return freeze(config, overrides, swept)

    def _compose_options(self, loader: ConfigLoaderImpl, selections: tuple[str, ...]) -> DictConfig:
        """Compose the selected options, once for all jobs that select the same ones.

        Hydra takes a tenth of a second for it, and most jobs differ in values only.
        """
        if selections not in self._composed:
            assert self.config is not None
            config = loader.load_sweep_config(self.config, list(selections))
            with open_dict(config):
                del config["hydra"]
            self._composed[selections] = config
        return self._composed[selections]

    def run_sweep(self, manifest: Manifest) -> int:
        """Run the sweep on this machine; return its exit code."""
        # Imported late: torch takes seconds, and errors in configurations are reported first.
        from lmlab.sweep.local_launch import LocalLaunchSettings, run_local_sweep

        return run_local_sweep(
            manifest,
            LocalLaunchSettings(self.jobs_per_device, self.plan_only, self.report, self.stack),
        )

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Unused: lmlab's sweeper submits all jobs of a multirun at once."""
        raise ConfigError(
            "hydra/launcher=lmlab: expected hydra/sweeper=lmlab", "remove both overrides"
        )


def _selects_option(override: Override, loader: ConfigLoaderImpl) -> bool:
    """Whether an override selects an option of a group, by the rules of Hydra."""
    if override.is_hydra_override():
        return True  # of the node that configurations of jobs do not have
    is_value = isinstance(override.value(), dict)
    return not is_value and bool(loader.repository.group_exists(override.key_or_group))
