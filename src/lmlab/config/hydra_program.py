"""Run what a command line of Hydra describes: a single run, a multirun, or several multiruns."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import env_override
from hydra.errors import MissingConfigException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from lmlab.config import resolvers, sweep_axes
from lmlab.config.compose import freeze
from lmlab.config.hydra_settings import (
    check_hydra_settings,
    differing_settings,
    environment,
    given_for_multirun,
    missing_plugin,
    missing_variable,
    resolve_mode,
)
from lmlab.config.interpolation import set_hydra_config
from lmlab.config.job_hooks import given_overrides, run_job
from lmlab.config.run_config import RunConfig
from lmlab.config.tracker_variables import print_sources
from lmlab.console.command_line import INTERRUPTED_EXIT_CODE
from lmlab.errors import ConfigError

Run = Callable[[RunConfig], int]


class HydraProgram:
    """Runs one command line.

    Args:
        hydra: finds and composes the files.
        options: the parsed command line.
        flags: its options, without overrides.
        overrides: its overrides, in Hydra's form.
        typed: its overrides as typed, for the name of a run.
        zipped: its arguments ``zip(...)``.
    """

    def __init__(
        self,
        hydra: Hydra,
        options: Namespace,
        flags: Sequence[str],
        overrides: Sequence[str],
        typed: Sequence[str],
        zipped: Sequence[str],
    ) -> None:
        self.hydra, self.options, self.flags = hydra, options, list(flags)
        self.overrides, self.typed, self.zipped = list(overrides), list(typed), list(zipped)
        self.config_name = options.config_name or "train"

    def execute(self, run: Run) -> int:
        """Run the command line; return the first nonzero exit code, or 0."""
        multiruns: list[_Multirun] = []
        for overrides in self._separate_experiments():
            if not self._is_multirun(overrides):
                return self._run_single(overrides, run)
            multiruns.append(_Multirun(self, overrides))
        for multirun in multiruns:  # a mistake in the last one is reported before the first runs
            multirun.prepare()
        codes: list[int] = []
        for multirun in multiruns:
            codes.append(multirun.run())
            if codes[-1] == INTERRUPTED_EXIT_CODE:
                break
        return next((code for code in codes if code), 0)

    def compose(
        self, overrides: Sequence[str], mode: RunMode, *, records_mode: bool = True
    ) -> DictConfig:
        """Compose a configuration with its ``hydra`` node.

        Args:
            overrides: in Hydra's form.
            mode: whether overrides may sweep.
            records_mode: whether ``hydra.mode`` becomes ``mode``; else it stays what was set.

        Raises:
            ConfigError: Hydra cannot compose it.
        """
        try:
            config = self.hydra.compose_config(
                config_name=self.config_name, overrides=list(overrides), run_mode=mode
            )
        except MissingConfigException as error:
            plugin = re.search(r"Could not find 'hydra/(sweeper|launcher)/(\w+)'", str(error))
            if plugin is None:
                raise
            raise missing_plugin(plugin[1], plugin[2]) from None
        except KeyError as error:
            missing = missing_variable(error)
            if missing is None:
                raise
            raise missing from None
        recorded = [text for kind in ("hydra", "task") for text in given_overrides(config, kind)]
        if sorted(recorded) != sorted(overrides):
            raise ConfigError("hydra.overrides: expected only what Hydra sets", "remove it")
        if records_mode:
            with open_dict(config):
                config.hydra.mode = mode
        return config

    def _is_multirun(self, overrides: Sequence[str]) -> bool:
        for text in overrides:
            key, _, value = text.lstrip("+").partition("=")
            if key == "hydra.mode" and value not in RunMode.__members__:
                raise ConfigError(f"{text}: expected RUN or MULTIRUN")
        # Hydra's get_mode returns None for a configuration that it cannot compose.
        mode = self.compose(overrides, RunMode.MULTIRUN, records_mode=False).hydra.mode
        return resolve_mode(mode, asks_multirun=self.options.multirun, asks_run=self.options.run)

    def _run_single(self, overrides: list[str], run: Run) -> int:
        given = given_for_multirun(overrides) or next(iter(self.zipped), None)
        if given:
            raise ConfigError(f"{given}: this has no effect on a single run", "add -m")
        sys.argv = [sys.argv[0], *self.flags, *overrides]  # recorded with the run
        config = self.compose(overrides, RunMode.RUN)
        check_hydra_settings(config, is_multirun=False)
        set_hydra_config(config)
        with env_override(environment(config)):
            frozen = freeze(_without_hydra(config), self.typed)
            if frozen.design is not None:
                typed = any(text.startswith("hydra.mode=") for text in overrides)
                raise ConfigError(
                    "design: describes a study of several runs, not a single run",
                    "remove hydra.mode=RUN" if typed else "add -m",
                )
            print_sources(config)
            callbacks = Callbacks(config)
            callbacks.on_run_start(config=config, config_name=self.config_name)
            code, returned = run_job(config, callbacks, frozen, lambda: run(frozen))
            callbacks.on_run_end(config=config, config_name=self.config_name, job_return=returned)
        return code

    def _separate_experiments(self) -> list[list[str]]:
        """Return the overrides of each multirun: one for each experiment that is a study.

        A study, a demo, or settings of Hydra belong to a whole multirun, so that a sweep over
        experiments that have any of these makes several multiruns, one after another.
        """
        if not self.options.multirun:
            return [self.overrides]
        parsed = sweep_axes.parse(self.overrides, self.hydra.config_loader)
        index = next(
            (i for i, each in enumerate(parsed) if sweep_axes.sweeps_over(each, "experiment")), None
        )
        if index is None:
            return [self.overrides]
        before, after = self.overrides[:index], self.overrides[index + 1 :]
        choices = [
            [*before, f"experiment={value}", *after]
            for value in sweep_axes.axis_values(parsed[index])
        ]
        # Without an experiment, there is no design to change.
        rest = [text for text in (*before, *after) if not text.lstrip("+~").startswith("design.")]
        alone = self.compose(rest, RunMode.MULTIRUN)
        if any(_stands_alone(self.compose(choice, RunMode.MULTIRUN), alone) for choice in choices):
            return choices
        return [self.overrides]


@dataclasses.dataclass
class _Context(HydraContext):
    """Hydra's context, in which the launchers of a sweeper register themselves."""

    launchers: list[Any] = dataclasses.field(default_factory=list)


class _Multirun:
    """One multirun: its configuration, its sweeper, and its jobs."""

    def __init__(self, program: HydraProgram, overrides: list[str]) -> None:
        self.program, self.overrides = program, [*overrides, "hydra.mode=MULTIRUN"]
        self.arguments = [sys.argv[0], *program.flags, *overrides, *program.zipped]
        self.config = program.compose(self.overrides, RunMode.MULTIRUN)
        check_hydra_settings(self.config, is_multirun=True)
        self.sweeper: Any = None
        self.callbacks: Any = None
        self.launchers: list[Any] = []

    def prepare(self) -> None:
        """Freeze the jobs, where the sweeper knows them before the first one runs."""
        sys.argv = self.arguments  # recorded with the sweep
        set_hydra_config(self.config)
        with env_override(environment(self.config)):
            self.callbacks = Callbacks(self.config)
            self.sweeper = Plugins.instance().instantiate_sweeper(
                config=self.config,
                hydra_context=_Context(
                    config_loader=self.program.hydra.config_loader,
                    callbacks=self.callbacks,
                    launchers=self.launchers,
                ),
                task_function=_never,
            )
            if hasattr(self.sweeper, "prepare"):
                self.sweeper.prepare(self._task_overrides(), self.program.zipped)
            else:
                self._prepare_sampling()
            print_sources(self.config)

    def _prepare_sampling(self) -> None:
        """Check what a sweeper that chooses jobs by their results cannot do; make its folder."""
        sampler = self.config.hydra.runtime.choices["hydra/sweeper"]
        problem = next(iter(self.program.zipped), None)
        if self.config.get("design") is not None:
            problem = "design"
        if problem is not None:
            raise ConfigError(
                f"{problem}: expected hydra/sweeper=lmlab, found {sampler}",
                "remove the override of hydra/sweeper",
            )
        # Sweepers save their own results here.
        folder = Path(self.config.output_root) / str(self.config.study) / "sweeper"
        folder.mkdir(parents=True, exist_ok=True)
        self.config.hydra.sweep.dir = str(folder)

    def run(self) -> int:
        """Run the jobs; return the exit code."""
        sys.argv = self.arguments
        set_hydra_config(self.config)
        name = self.program.config_name
        with env_override(environment(self.config)):
            self.callbacks.on_multirun_start(config=self.config, config_name=name)
            try:
                if hasattr(self.sweeper, "prepare"):
                    return int(self.sweeper.run())
                self.sweeper.sweep(arguments=self._task_overrides())
                codes = [int(launcher.finish()) for launcher in self.launchers]
                return next((code for code in codes if code), 0)
            finally:
                self.callbacks.on_multirun_end(config=self.config, config_name=name)

    def _task_overrides(self) -> list[str]:
        return given_overrides(self.config, "task")


@contextlib.contextmanager
def start_hydra(folder: Path, config_dir: str | None) -> Iterator[Hydra]:
    """Start Hydra, which finds files in ``folder``, the user's folders and ``config_dir``."""
    version.setbase("1.3")
    search_path = create_config_search_path(str(folder))
    if config_dir is not None:
        search_path.prepend(
            provider="command-line",
            path=f"file://{os.path.abspath(config_dir)}",
            anchor=SearchPathQuery(provider="schema"),
        )
    hydra = Hydra.create_main_hydra2("train", search_path)
    resolvers.register_hydra()
    started = datetime.now()
    # All jobs of a multirun get the same time, as in Hydra.
    OmegaConf.register_new_resolver("now", started.strftime, replace=True)
    previous = HydraConfig.instance().cfg
    try:
        yield hydra
    finally:
        HydraConfig.instance().cfg = previous
        GlobalHydra.instance().clear()


def _stands_alone(config: DictConfig, other: DictConfig) -> bool:
    """Whether an experiment is a study or a demo, or has settings of Hydra, unlike ``other``."""
    is_study = config.get("design") is not None or config.get("demo") is not None
    return is_study or bool(differing_settings(config, other))


def _without_hydra(config: DictConfig) -> DictConfig:
    task = copy.deepcopy(config)
    with open_dict(task):
        del task["hydra"]
    return task


def _never(config: DictConfig) -> None:
    raise AssertionError("lmlab's launchers run frozen configurations")
