"""The runs that a sweep would start, for ``hydra.launcher.plan_only``."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmlab.console.formatting import format_count
from lmlab.design.manifest import Job, Manifest
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.storage.lock import is_alive
from lmlab.sweep.run_schedule import RunSchedule
from lmlab.sweep.scheduled_run import ScheduledRun

_MAX_ROWS = 60
_WORDS = {
    "complete": "complete", "reused": "reused", "running": "running in another launch",
    "resumes": "to resume", "trains": "to train",
}  # fmt: skip


class PlannedSchedule(RunSchedule):
    """The runs that are required so far. Writes nothing."""

    def record(self, run: ScheduledRun) -> None:
        """Do nothing: the ledger lists submitted runs."""

    def log_file(self, job: Job) -> Path:
        """Return a path that is never written."""
        return Path(os.devnull)


def print_plan(schedule: PlannedSchedule) -> None:
    """Print each arm with its overrides, its seeds, and what would happen to its runs."""
    schedule.extend()
    manifest = schedule.manifest
    names = _own_overrides(manifest)
    table = Table(box=None, pad_edge=False)
    for column in ("arm", "overrides", "lr", "seeds", "runs"):
        table.add_column(column, overflow="fold", justify="right" if column == "lr" else "left")
    rows: dict[tuple[str, float | None, str], list[ScheduledRun]] = {}
    for run in schedule.runs:
        index = run.job.number if manifest.comparison is None else _arm_index(manifest, run.job)
        rows.setdefault((run.job.arm, run.job.lr, names[index]), []).append(run)
    for (arm, lr, overrides), runs in list(rows.items())[:_MAX_ROWS]:
        seeds = ", ".join(_seeds(runs))
        actions = Counter(_describe(run, schedule) for run in runs)
        rate = "" if lr is None else f"{lr:g}"
        # Text, since rich would read the brackets of a list as markup.
        table.add_row(*map(Text, (arm, overrides, rate, seeds, _join(actions))))
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)
    if len(rows) > _MAX_ROWS:
        print(f"... and {format_count(len(rows) - _MAX_ROWS, 'more row')}")
    print(_total(schedule))


def _seeds(runs: Sequence[ScheduledRun]) -> list[str]:
    """The seeds of the runs of an arm; pinned ones stand behind those that do not follow."""
    pinned = {run.name.partition(" (")[2].rstrip(")") for run in runs}
    return [
        _ranges([run.job.seed for run in runs if run.name.partition(" (")[2].rstrip(")") == one])
        + (f" with {one}" if one else "")
        for one in sorted(pinned)
    ]


def _total(schedule: PlannedSchedule) -> str:
    # A run that several jobs share, such as one at the best rate of a search, trains once.
    actions = Counter({run.identity: _action(run, schedule) for run in schedule.runs}.values())
    number = sum(actions.values())
    parts = [f"{actions[action]} {word}" for action, word in _WORDS.items() if actions[action]]
    text = f"{schedule.manifest.study}: {number} run{'' if number == 1 else 's'}: "
    text += ", ".join(parts)
    design = schedule.manifest.comparison
    if design is None or schedule.is_settled:
        return text
    if design.lr == "search":
        text += "; the search for learning rates adds runs as results arrive"
    if design.extra_seeds:
        text += (
            f"; an arm without a verdict then gets {format_count(design.extra_seeds, 'more seed')}"
        )
    return text


def _action(run: ScheduledRun, schedule: PlannedSchedule) -> str:
    status = run.folder.status().get("status")
    if status in FINISHED:
        is_own = schedule.folder.study_folder.resolve() in run.folder.path.resolve().parents
        return "complete" if is_own else "reused"
    if is_alive(run.folder.path / "run.lock"):
        return "running"
    return "resumes" if _last_step(run.folder) is not None else "trains"


def _describe(run: ScheduledRun, schedule: PlannedSchedule) -> str:
    action = _action(run, schedule)
    if action == "reused":
        root = schedule.folder.study_folder.parent
        return f"reused from {os.path.relpath(run.folder.path.parent, root)}"
    if action == "resumes":
        return f"to resume at step {_last_step(run.folder)}"
    return _WORDS[action]


def _last_step(run: RunFolder) -> int | None:
    steps = [path.name.removeprefix("step_") for path in run.checkpoints.glob("step_*")]
    return max((int(step) for step in steps if step.isdigit()), default=None)


def _join(actions: Counter[str]) -> str:
    if len(actions) == 1:
        return next(iter(actions))
    return ", ".join(f"{count} {action}" for action, count in actions.items())


def _own_overrides(manifest: Manifest) -> list[str]:
    """The overrides of each arm; of a plain sweep, those that its jobs do not share."""
    shared: set[str] = set()
    if manifest.comparison is None and len(manifest.overrides) > 1:
        shared = set.intersection(*map(set, manifest.overrides))
    return [
        " ".join(text for text in overrides if text not in shared and not text.startswith("seed="))
        for overrides in manifest.overrides
    ]


def _arm_index(manifest: Manifest, job: Job) -> int:
    design = manifest.comparison
    assert design is not None
    is_replicate = job.arm == design.replicate
    return manifest.names.index(str(design.baseline) if is_replicate else job.arm)


def _ranges(seeds: Sequence[int]) -> str:
    """Seeds in short form: ``0-4, 1000``."""
    parts: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
