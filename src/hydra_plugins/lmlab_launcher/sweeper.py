"""Expand a multirun into its jobs, or a study into its arms, and submit them together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override, Quote, QuotedString
from omegaconf import OmegaConf

from hydra_plugins.lmlab_launcher.launcher import LocalLauncher, freeze_jobs
from hydra_plugins.lmlab_launcher.study_arms import freeze_study
from lmlab.config.sweep_axes import expand_jobs, parse
from lmlab.design.manifest import Manifest
from lmlab.design.sweep_jobs import split_sweep
from lmlab.errors import ConfigError
from lmlab.runtime.launch_env import require_single_process


class Sweeper(BasicSweeper):
    """Run every combination of the swept values, or the arms of the study in ``design``.

    A key on the command line, in dotted or slash form, replaces that of the experiment.
    """

    manifests: Sequence[Manifest] = ()

    def prepare(self, arguments: Sequence[str], zipped: Sequence[str] = ()) -> None:
        """Freeze all configurations.

        Args:
            arguments: overrides of the command line.
            zipped: its arguments ``zip(...)``.

        Raises:
            ConfigError: a configuration is not valid.
        """
        require_single_process("a multirun")
        assert self.hydra_context is not None and self.config is not None
        loader = self.hydra_context.config_loader
        parameters = parse(self._parse_config(), loader)
        typed = parse(arguments, loader, zipped)
        if self.config.get("demo") is not None:
            raise ConfigError(
                "demo: expected null in a multirun, whose jobs are training runs",
                "remove -m and hydra/launcher to run the demo",
            )
        if self.config.get("design") is not None:
            self.manifests = [self._freeze_study(parameters, typed)]
        else:
            jobs = expand_jobs(parameters, typed)
            frozen, _ = freeze_jobs(self._launcher(), jobs)
            self.manifests, notes = split_sweep(frozen)
            for note in notes:
                print(note, file=sys.stderr)

    def run(self) -> int:
        """Run the sweep of each study; return the exit code of the first that fails, or 0."""
        codes = map(self._launcher().run_sweep, self.manifests)
        return next((code for code in codes if code), 0)

    def sweep(self, arguments: list[str]) -> Any:
        """Freeze all configurations, then run the sweep.

        Raises:
            SystemExit: with the exit code of the sweep, unless it is 0.
        """
        self.prepare(arguments)
        code = self.run()
        if code:
            raise SystemExit(code)
        return None

    def _parse_config(self) -> list[str]:
        """The overrides of ``hydra.sweeper.params``."""
        return [f"{key}={_as_text(value)}" for key, value in self.params.items()]

    def _launcher(self) -> LocalLauncher:
        assert isinstance(self.launcher, LocalLauncher)
        return self.launcher

    def _freeze_study(self, parameters: list[Override], typed: list[Override]) -> Manifest:
        overrides = [*parameters, *typed]
        for override in overrides:
            if override.is_sweep_override():
                raise ConfigError(
                    f"{override.input_line}: expected one value: a study sweeps over its arms",
                    "give one value, or change design.arms",
                )
        base = [str(override.input_line) for override in overrides]
        return freeze_study(self._launcher(), base, typed)


def _as_text(value: Any) -> str:
    """A value of a YAML file as an override; a string is in the grammar of overrides already."""
    if isinstance(value, str):
        return value
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return Override._get_value_element_as_str(_quoted(plain))


def _quoted(value: Any) -> Any:
    if isinstance(value, str):
        return QuotedString(value, Quote.double)
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    return value
