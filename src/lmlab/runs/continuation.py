"""Going on from a finished run with more steps, as a new run that names its parent."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

from lmlab.build.factory import build_checkpoints, build_schedule
from lmlab.config.compose import load_frozen
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError, DataError
from lmlab.run_folder import RunFolder, differences
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.state import TrainState

log = logging.getLogger(__name__)

# The settings in which a child may differ from its parent.
_MAY_DIFFER = ("config.training.steps", "config.schedule.")


@dataclasses.dataclass(frozen=True)
class Parent:
    """A run that another may go on from.

    Attributes:
        run: its folder.
        checkpoints: its saved states.
        shared_steps: number of first updates at which both schedules agree.
    """

    run: RunFolder
    checkpoints: Checkpoints
    shared_steps: int

    def restore(self, state: TrainState, child: RunFolder) -> bool:
        """Load the parent's newest usable checkpoint, its rows and its best weights."""
        if not self.checkpoints.restore_latest(state, lambda step: step <= self.shared_steps):
            return False
        at = state.progress
        child.keep_rows_up_to(at.step, self.run.rows())
        best = self.checkpoints.folder / f"best_{at.best_step or 0:08d}"
        if best.is_dir():
            shutil.copytree(best, child.checkpoints / best.name, dirs_exist_ok=True)
        else:
            at.best_loss = at.best_step = None
        log.info("going on from step %d of %s", at.step, self.run.path)
        return True


def find_parent(config: RunConfig, identity: dict[str, Any]) -> Parent | None:
    """Check that the run may go on from ``config.parent``; None where it names no parent.

    Raises:
        ConfigError: the folder is no run, another setting than the number of steps and the
            schedule differs, or no kept checkpoint lies where both schedules still agree.
    """
    if config.parent is None:
        return None
    run = RunFolder(Path(config.parent))
    there = run.meta().get("identity")
    if there is None:
        raise ConfigError(f"parent={config.parent}: there is no run in this folder")
    try:
        former = load_frozen(run.config)
    except (OSError, DataError) as error:
        raise ConfigError(
            f"parent={config.parent}: its config.yaml cannot be read: {error}"
        ) from error
    changed = [line for line in differences(there, identity) if not line.startswith(_MAY_DIFFER)]
    if changed:
        raise ConfigError(
            f"parent={config.parent}: an extended run may differ from its parent in training.steps "
            f"and schedule only; also different: {'; '.join(changed)}"
        )
    checkpoints = build_checkpoints(former, run.checkpoints)
    shared, kept = _shared_steps(config, former), checkpoints.steps()
    if not any(step <= shared for step in kept):
        raise ConfigError(
            f"parent={config.parent}: the two schedules agree for the first {shared} steps, and "
            f"the parent keeps checkpoints at steps {kept}; {_ways_out(config, shared, kept)}"
        )
    return Parent(run, checkpoints, shared)


def _ways_out(config: RunConfig, shared: int, kept: list[int]) -> str:
    """What to do where the parent keeps nothing that the run could begin with."""
    steps = config.training.steps
    ways = [f"leave parent out, so that all {steps} steps are trained here"]
    if shared == steps and kept:
        ways.append(f"set training.steps above {kept[0]}")
    if shared < steps:
        ways.append("choose schedule=constant or schedule=wsd for both, which agree for longer")
    if shared:
        ways.append(
            f"train the parent anew with checkpoint.keep_steps=[{shared}] reuse=false and another "
            "arm=... (a rerun passes over what is finished)"
        )
    return ", or ".join(ways)


def _shared_steps(config: RunConfig, former: RunConfig) -> int:
    """Number of first updates that both runs take at the same learning rate."""
    new, old = build_schedule(config), build_schedule(former)
    both = min(config.training.steps, former.training.steps)
    return next((step for step in range(both) if new(step) != old(step)), both)
