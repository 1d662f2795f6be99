"""Expand a multirun into its jobs, or a study into its arms, and submit them together."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from hydra_plugins.lmlab_launcher.launcher import LocalLauncher
from lmlab.config.group_selection import rewrite_all
from lmlab.config.paths import conf_folder
from lmlab.config.run_config import RunConfig
from lmlab.config.user_settings import search_path
from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Manifest, match_tokens
from lmlab.errors import ConfigError
from lmlab.runtime.launch_env import require_single_process


class Sweeper(BasicSweeper):
    """Run every combination of the swept values, or the arms of the study in ``design``.

    A key on the command line, in dotted or slash form, replaces that of the experiment.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """Freeze all configurations, then run the sweep.

        Raises:
            SystemExit: with the exit code of the sweep, unless it is 0.
        """
        require_single_process("a multirun")
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        if self.config is not None and self.config.get("design") is not None:
            manifest = self._freeze_study(overrides)
        else:
            manifest = self._freeze_sweep(overrides)
        code = self._launcher().run_sweep(manifest)
        if code:
            raise SystemExit(code)
        return None

    def _launcher(self) -> LocalLauncher:
        if not isinstance(self.launcher, LocalLauncher):
            raise ConfigError("hydra/launcher: expected one of lmlab, slurm")
        return self.launcher

    def _freeze_sweep(self, overrides: list[Override]) -> Manifest:
        batches = self.split_arguments(overrides, None)
        jobs = [job for batch in batches for job in batch]
        pairs = [dict(text.split("=", 1) for text in job) for job in jobs]
        swept = {key for pair in pairs for key in pair if len({p.get(key) for p in pairs}) > 1}
        configs = [self._launcher().compose(job, swept) for job in jobs]
        return _manifest(configs, [config.arm for config in configs], jobs, None)

    def _freeze_study(self, overrides: list[Override]) -> Manifest:
        for override in overrides:
            if override.is_sweep_override():
                raise ConfigError(
                    f"{override.input_line}: expected one value: a study sweeps over its arms",
                    "give one value, or change design.arms",
                )
        base = [str(override.input_line) for override in overrides]
        launcher = self._launcher()
        declared = launcher.compose(base).design
        assert declared is not None
        design = Comparison(**declared.parameters)
        folders = [conf_folder(), *search_path()]
        configs = []
        for arm, arm_overrides in design.arms.items():
            config = launcher.compose(rewrite_all([*base, *arm_overrides], folders))
            configs.append(config)
            if "lr" not in config.optim and design.lr == "search":
                raise ConfigError(
                    f"design.lr=search: the optimizer of {arm} has no parameter lr",
                    "set design.lr=fixed",
                )
        manifest = _manifest(configs, list(design.arms), list(design.arms.values()), design)
        if not design.hold_tokens:
            return manifest
        reference = manifest.arms[manifest.names.index(design.baseline or manifest.names[0])]
        arms = [match_tokens(content, reference) for content in manifest.arms]
        return dataclasses.replace(manifest, arms=arms)


def _manifest(
    configs: Sequence[RunConfig],
    names: list[str],
    overrides: Sequence[Sequence[str]],
    design: Comparison | None,
) -> Manifest:
    if any(config.demo is not None for config in configs):
        raise ConfigError(
            "demo: expected null in a multirun, whose jobs are training runs",
            "remove -m and hydra/launcher to run the demo",
        )
    return Manifest(
        study=configs[0].study,
        command=shlex.join(["python", "-m", "lmlab.train", *sys.argv[1:]]),
        arms=[_without_study(config.as_dict()) for config in configs],
        names=names,
        overrides=[list(each) for each in overrides],
        comparison=design,
    )


def _without_study(content: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a single run, which does not depend on the study."""
    return content | {"design": None}
