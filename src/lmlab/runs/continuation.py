"""Extend a finished run by more steps, as a new run that names its parent."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from lmlab.build.factory import build_checkpoints, build_schedule
from lmlab.build.identity import identity_changes
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.console.formatting import format_count
from lmlab.errors import ConfigError, DataError
from lmlab.run_folder import RunFolder
from lmlab.runs.recorded_config import load_recorded
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.checkpoint_files import copy_checkpoint
from lmlab.training.state import TrainState

log = logging.getLogger(__name__)

# Prefixes of the settings in which a child may differ from its parent.
_FREE_SETTINGS = ("config.training.steps", "config.schedule.")


@dataclasses.dataclass(frozen=True)
class ParentRun:
    """A run that another run extends.

    Attributes:
        folder: of the parent.
        checkpoints: of the parent.
        shared_steps: number of first updates for which both schedules agree; at most all but the
            last of the child, which then evaluates and saves its result itself.
    """

    folder: RunFolder
    checkpoints: Checkpoints
    shared_steps: int

    def restore(self, state: TrainState, child: RunFolder, key: str) -> bool:
        """Load the newest usable checkpoint, and copy its rows and best weights to ``child``.

        Args:
            state: overwritten in place.
            child: folder of the run that extends this one.
            key: names the child in its records.

        Returns:
            False where no checkpoint can be read.
        """
        if not self.checkpoints.restore_latest(state, lambda step: step <= self.shared_steps):
            return False
        progress = state.progress
        child.keep_rows_up_to(progress.step, self.folder.rows())
        best = self.checkpoints.folder / f"best_{progress.best_step or 0:08d}"
        try:
            if best.is_dir():
                copy_checkpoint(best, child.checkpoints / best.name, key)
            else:
                progress.best_loss = progress.best_step = None
        except DataError as error:
            log.warning("%s; the best weights so far are not copied", error.message)
            progress.best_loss = progress.best_step = None
        log.info("extending %s from step %d", self.folder.path, progress.step)
        return True


def find_parent(spec: RunSpec, identity: dict[str, Any]) -> ParentRun | None:
    """Find the run that ``spec`` extends; None where it names no parent.

    Raises:
        ConfigError: the folder holds no run, a setting other than the number of steps and the
            schedule differs, or the parent keeps no checkpoint at a step for which both schedules
            agree.
    """
    if spec.parent is None:
        return None
    key = f"parent={spec.parent}"
    folder = RunFolder(Path(spec.parent))
    parent_identity = folder.meta().get("identity")
    if parent_identity is None:
        raise ConfigError(f"{key}: expected a run folder", "check the path, or leave parent out")
    try:
        parent = resolve(load_recorded(folder))
    except (OSError, DataError) as error:
        raise ConfigError(f"{key}: {error}") from error
    changed = [
        line
        for line in identity_changes(folder.meta(), identity)
        if not line.startswith(_FREE_SETTINGS)
    ]
    if changed:
        raise ConfigError(
            f"{key}: expected a run that differs in training.steps and schedule only; also "
            f"different (parent -> this run): {'; '.join(changed)}",
            "use the settings of the parent, or leave parent out",
        )
    checkpoints = build_checkpoints(parent.workload, folder.checkpoints)
    checkpoints.run = folder.recorded_key()
    shared, kept = _shared_steps(spec, parent), checkpoints.steps()
    shared = min(shared, max(0, spec.workload.steps - 1))
    if not any(step <= shared for step in kept):
        raise ConfigError(
            f"{key}: expected a checkpoint at a step up to which both schedules agree and before "
            f"the last one, the first {shared}; the parent keeps steps {kept}",
            _remedies(spec.workload.steps, shared, kept),
        )
    return ParentRun(folder, checkpoints, shared)


def _remedies(steps: int, shared: int, kept: list[int]) -> str:
    """What to do where the parent keeps no checkpoint that the run could start from."""
    remedies = [f"leave parent out to train all {format_count(steps, 'step')}"]
    if shared == steps - 1 and kept:
        remedies.append(f"set training.steps above {kept[0]}")
    if shared < steps - 1:
        remedies.append("set schedule=constant or schedule=wsd for both, which agree for longer")
    if shared:
        remedies.append(
            f"train the parent again with checkpoint.keep_steps=[{shared}] reuse=false and "
            "another arm=... (a finished run is skipped)"
        )
    return ", or ".join(remedies)


def _shared_steps(spec: RunSpec, parent: RunSpec) -> int:
    """Number of first updates that both runs take at the same learning rate."""
    new, old = build_schedule(spec), build_schedule(parent)
    both = min(spec.workload.steps, parent.workload.steps)
    return next((step for step in range(both) if new(step) != old(step)), both)
