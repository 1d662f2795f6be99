"""The runs that a sweep would start, for ``hydra.launcher.plan_only``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from lmlab.config.run_config import RunConfig
from lmlab.config.run_length import has_budget
from lmlab.console.formatting import format_count
from lmlab.console.stdout import stdout_console
from lmlab.design.job import Job, Outcomes
from lmlab.design.manifest import Manifest
from lmlab.run_folder import FINISHED
from lmlab.runtime.device import Device
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.run_schedule import RunSchedule
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.training.checkpoint_files import list_steps

_MAX_ROWS = 60
_ACTIONS = {
    "complete": "complete", "reused": "reused", "running": "running in another launch",
    "resumes": "to resume", "trains": "to train",
}  # fmt: skip


class PlannedSchedule(RunSchedule):
    """The runs that are required so far, none of which is attached to a job. Writes nothing.

    Args:
        manifest: the study or sweep.
        folder: folder of the sweep.
        data: prepared texts of the configurations.
        device_of: returns the device that a configuration's job computes on.
        is_elsewhere: whether jobs compute on other machines.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: SweepFolder,
        data: RunDataCache,
        device_of: Callable[[RunConfig], Device],
        is_elsewhere: bool = False,
    ) -> None:
        super().__init__(manifest, folder, data, device_of, lambda run: None, print, is_elsewhere)

    def record(self, run: ScheduledRun) -> None:
        """Do nothing: the ledger lists submitted runs."""

    def log_file(self, job: Job) -> Path:
        """Return a path that is never written."""
        return Path(os.devnull)

    def annotate(self, run: ScheduledRun) -> None:
        """Do nothing."""

    def seal(self, outcomes: Outcomes) -> None:
        """Do nothing: a plan forecasts nothing."""


def print_plan(schedule: PlannedSchedule) -> None:
    """Print each arm with its overrides, its seeds, and what would happen to its runs."""
    schedule.extend()
    manifest = schedule.manifest
    shown = _shown_overrides(manifest)
    table = Table(box=None, pad_edge=False)
    for column in ("arm", "overrides", "lr", "seeds", "runs"):
        table.add_column(column, overflow="fold", justify="right" if column == "lr" else "left")
    rows: dict[tuple[str, float | None, str], list[ScheduledRun]] = {}
    for run in schedule.runs:
        index = run.job.number if manifest.is_plain else _arm_index(manifest, run.job)
        rows.setdefault((run.job.arm, run.job.lr, shown[index]), []).append(run)
    for (arm, lr, overrides), runs in list(rows.items())[:_MAX_ROWS]:
        seeds = ", ".join(_seeds(runs))
        actions = Counter(_describe(run, schedule) for run in runs)
        rate = "" if lr is None else f"{lr:g}"
        table.add_row(arm, overrides, rate, seeds, _join(actions))
    stdout_console(160).print(table)
    if len(rows) > _MAX_ROWS:
        print(f"... and {format_count(len(rows) - _MAX_ROWS, 'more row')}")
    print(_total(schedule))


def _seeds(runs: Sequence[ScheduledRun]) -> list[str]:
    """Return the seeds of the runs of an arm, one text for each choice of pinned seeds."""
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run.pinned_seeds, []).append(run.job.seed)
    return [
        _ranges(numbers) + (f" with {pinned}" if pinned else "")
        for pinned, numbers in sorted(seeds.items())
    ]


def _total(schedule: PlannedSchedule) -> str:
    # A run that several jobs share, such as one at the best rate of a search, trains once.
    actions = Counter({run.identity: _action(run, schedule) for run in schedule.runs}.values())
    parts = [f"{actions[action]} {text}" for action, text in _ACTIONS.items() if actions[action]]
    text = f"{schedule.manifest.study}: {format_count(actions.total(), 'run')}: {', '.join(parts)}"
    manifest = schedule.manifest
    design, ladder = manifest.comparison, manifest.ladder
    study = design or ladder
    if study is None or schedule.is_settled:
        return text
    if study.lr != "fixed":
        text += "; the search for learning rates adds runs as results arrive"
    if ladder is not None and ladder.sealed:
        text += f"; rung r{len(ladder.rungs)} starts once its forecast is sealed"
    if design is not None and design.is_sequential:
        text += (
            f"; arms without a verdict then get one more seed at a time, up to {design.most_seeds}"
        )
    elif design is not None and design.extra_seeds:
        text += (
            f"; an arm without a verdict then gets {format_count(design.extra_seeds, 'more seed')}"
        )
    return text


def _action(run: ScheduledRun, schedule: PlannedSchedule) -> str:
    if run.state in FINISHED:
        is_own = schedule.folder.study_folder.resolve() in run.folder.path.resolve().parents
        return "complete" if is_own else "reused"
    if run.state == "elsewhere":
        return "running"
    return "resumes" if list_steps(run.folder.checkpoints, "step") else "trains"


def _describe(run: ScheduledRun, schedule: PlannedSchedule) -> str:
    action = _action(run, schedule)
    if action == "reused":
        root = schedule.folder.study_folder.parent
        return f"reused from {os.path.relpath(run.folder.path.parent, root)}"
    if action == "resumes":
        return f"to resume at step {list_steps(run.folder.checkpoints, 'step')[-1]}"
    if action == "trains" and run.trunk is not None:
        return f"to train from step {run.branch_step} of {run.trunk.job.arm}"
    return _ACTIONS[action]


def _join(actions: Counter[str]) -> str:
    if len(actions) == 1:
        return next(iter(actions))
    return ", ".join(f"{count} {action}" for action, count in actions.items())


def _shown_overrides(manifest: Manifest) -> list[str]:
    """Return the overrides of each arm; of a plain sweep, those that its jobs do not share.

    The steps that a budget gives stand beside them.
    """
    if manifest.ladder is not None:  # the rungs are printed above
        arms = [" ".join(own) for own in manifest.ladder.arms.values()]
        return arms * len(manifest.ladder.rungs)
    shared: set[str] = set()
    if manifest.is_plain and len(manifest.overrides) > 1:
        shared = set.intersection(*map(set, manifest.overrides))
    shown = []
    for content, overrides in zip(manifest.arms, manifest.overrides, strict=True):
        own = [text for text in overrides if text not in shared and not text.startswith("seed=")]
        if has_budget(content):
            own.append(f"({format_count(content['training']['steps'], 'step')})")
        shown.append(" ".join(own))
    return shown


def _arm_index(manifest: Manifest, job: Job) -> int:
    design = manifest.comparison
    if manifest.ladder is not None:
        design = manifest.rungs[manifest.ladder.cells[job.arm][0]].comparison
    assert design is not None
    is_replicate = job.arm == design.replicate
    return manifest.names.index(str(design.baseline) if is_replicate else job.arm)


def _ranges(seeds: Sequence[int]) -> str:
    """Return seeds in short form: ``0-4, 1000``."""
    parts: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
