"""A wave of runs: the pairs of an idea up to a number, trained as a study, and what they show."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lmlab.config.compose import compose_launcher
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome, outcome_from_losses
from lmlab.errors import ConfigError, DataError
from lmlab.judge.stream import BASELINE_ARM, Pair
from lmlab.study.sweep_folder import LedgerEntry, SweepFolder, sweeps_in


class Launcher(Protocol):
    """Runs the jobs of a manifest, here or on a cluster."""

    def run_sweep(self, manifest: Manifest) -> int:
        """Run what is missing; return the exit code."""
        ...


@dataclasses.dataclass(frozen=True)
class WaveResult:
    """What the runs of a wave show.

    Attributes:
        pairs: in the order of the seeds, up to the first that is not complete.
        runs: folders of all its runs, those of the search included, below the output root.
        rates: peak learning rates of baseline and idea; None where it is not searched.
        is_untrainable: whether every rate of the idea's search diverged.
        seconds: of a run that judges, in the median; None if unknown.
    """

    pairs: list[Pair]
    runs: list[str]
    rates: tuple[float | None, float | None]
    is_untrainable: bool = False
    seconds: float | None = None


def make_launcher(overrides: Sequence[str] = ()) -> Launcher:
    """Return the launcher that settings choose: that of sweeps and studies.

    Args:
        overrides: such as ``["hydra/launcher=slurm", "hydra.launcher.gpus=1"]``.

    Raises:
        ConfigError: a setting is not one of the launcher, or the jobs would not be waited for.
    """
    for override in overrides:
        if not override.lstrip("+").startswith(("hydra/launcher=", "hydra.launcher")):
            raise ConfigError(
                f"launcher: {override}: expected hydra/launcher=NAME or hydra.launcher.KEY=VALUE",
                "give settings of the runs to judge start or judge add",
            )
    settings = compose_launcher(overrides) | {"report": False}
    for key, value in {"wait": True, "plan_only": False}.items():
        if settings.get(key, value) != value:
            raise ConfigError(
                f"launcher: hydra.launcher.{key}={settings[key]}: expected {value}",
                "remove it" if key == "wait" else "use --plan",
            )
    module, _, name = str(settings.pop("_target_")).rpartition(".")
    launcher: Launcher = getattr(importlib.import_module(module), name)(**settings)
    return launcher


def run_wave(manifest: Manifest, launcher: Launcher) -> int:
    """Train the runs of a wave that are missing; results are printed to stderr.

    Returns:
        The exit code: 0 if every run is done or diverged, 130 if a signal stopped it, else 1.
    """
    with contextlib.redirect_stdout(sys.stderr):
        return launcher.run_sweep(manifest)


def read_wave(manifest: Manifest) -> WaveResult:
    """Read the results of a wave that was run.

    Args:
        manifest: of the wave, as it was given to the launcher.

    Raises:
        DataError: a run of the baseline diverged, so that its seed tells nothing of any idea.
    """
    root = Path(manifest.arms[0]["output_root"])
    sweep = submitted_sweep(manifest)
    entries = sweep.entries()
    submitted = sweep.manifest()
    outcomes = {entry.job: _outcome(entry, manifest.metric) for entry in entries}
    idea = next(name for name in manifest.names if name != BASELINE_ARM)
    rates = tuple(submitted.judged_lr(arm, outcomes) for arm in (BASELINE_ARM, idea))
    pairs = []
    for seed in manifest.evaluation_seeds(idea):
        found = [outcomes.get(Job(arm, rate, seed), TrialOutcome("missing"))
                 for arm, rate in zip((BASELINE_ARM, idea), rates, strict=True)]  # fmt: skip
        if found[0].has_diverged:
            raise DataError(
                f"{manifest.study}: the baseline diverged with seed {seed}; expected it to train "
                "with every seed, or no idea can be compared with it",
                "start a ledger with a baseline that trains, for example at a lower optim.lr",
            )
        if not all(one.is_final for one in found):
            break
        assert found[0].loss is not None
        pairs.append(Pair(seed, found[0].loss, None if found[1].has_diverged else found[1].loss))
    return WaveResult(
        pairs,
        sorted({os.path.relpath(entry.run.path, root) for entry in entries}),
        (rates[0], rates[1]),
        submitted.is_untrainable(idea, outcomes),
        _seconds(entries),
    )


def submitted_sweep(manifest: Manifest) -> SweepFolder:
    """Return the folder of a wave, whose launcher may have settled threads and other settings.

    Raises:
        DataError: there is none.
    """
    folder = Path(manifest.arms[0]["output_root"]) / manifest.study
    for sweep in sweeps_in(folder):  # the newest first
        found = sweep.manifest()
        is_wave = (found.names, found.overrides) == (manifest.names, manifest.overrides)
        if is_wave and found.comparison is not None and manifest.comparison is not None:
            seeds = (found.arms[0]["seed"], found.comparison.num_seeds)
            if seeds == (manifest.arms[0]["seed"], manifest.comparison.num_seeds):
                return sweep
    raise DataError(f"{folder}: the wave is missing", "rerun the command")


def _outcome(entry: LedgerEntry, metric: str) -> TrialOutcome:
    status = str(entry.run.status().get("status", "missing"))
    return outcome_from_losses(status, [row[metric] for row in entry.run.evaluations(metric)])


def _seconds(entries: Sequence[LedgerEntry]) -> float | None:
    found = [
        float(seconds)
        for entry in entries
        if "judged" in entry.purposes and (seconds := entry.run.status().get("seconds"))
    ]
    return statistics.median(found) if found else None
