"""The runs of a sweep with ``parent=auto``: which start from checkpoints of others, and when."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

from lmlab.build.factory import build_schedule
from lmlab.build.run_spec import resolve
from lmlab.config.run_config import AUTO_PARENT, RunConfig
from lmlab.console.formatting import format_count
from lmlab.design.trunks import Branch, Sharer, family_key, plan_branches, run_key
from lmlab.run_folder import RunFolder
from lmlab.storage.plain_yaml import load_plain
from lmlab.sweep.scheduled_run import ACTIVE, ScheduledRun
from lmlab.training.checkpoint_files import list_steps

_POLL_SECONDS = 0.25
_SHOWN_TRUNKS = 5
_NOTHING = (
    "parent=auto: nothing to share: no two runs differ in training.steps and schedule only and "
    "start with equal learning rates; set schedule=wsd or constant, and the warm-up in steps or "
    "tokens"
)


class SharedTrunks:
    """Plans where the runs of a sweep start, keeps their trunks' checkpoints, and waits for them.

    Args:
        print_line: prints a message.
    """

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self.print_line = print_line
        self._jobs: dict[str, list[ScheduledRun]] = {}  # by the run that they train
        self._factors: dict[str, list[float]] = {}
        self._next_check: dict[str, float] = {}
        self._has_said_nothing = False

    @property
    def has_waiting_runs(self) -> bool:
        """Whether a run waits for a checkpoint of another."""
        return any(
            job.state == "queued" and job.trunk is not None
            for jobs in self._jobs.values()
            for job in jobs
        )

    def plan(self, runs: Sequence[ScheduledRun]) -> None:
        """Plan where new runs start, and print it.

        Args:
            runs: of the sweep, so far.
        """
        new = [run for run in runs if run.config.parent == AUTO_PARENT and not run.shares_updates]
        if not new:
            return
        for run in new:
            run.shares_updates = True
            self._jobs.setdefault(run.identity, []).append(run)
        keys = list(self._jobs)
        branches = plan_branches([self._sharer(self._jobs[key][0]) for key in keys])
        for position, branch in branches.items():
            trunk = self._jobs[keys[branch.trunk]][0]
            for job in self._jobs[keys[position]]:
                job.trunk, job.branch_step = trunk, branch.step
        self._print({keys[position]: branch for position, branch in branches.items()})

    def is_ready(self, run: ScheduledRun) -> bool:
        """Return whether a run may start; then its configuration says where, and what it keeps."""
        if not run.shares_updates:
            return True
        now = time.monotonic()
        if now < self._next_check.get(run.key, 0.0):
            return False
        parent = self._parent(run)
        if parent is None:
            self._next_check[run.key] = now + _POLL_SECONDS
            return False
        run.reason = ""
        config = dataclasses.replace(run.config, parent=parent or None)
        run.config = keeping_steps(config, self._kept_steps(run))
        return True

    def _kept_steps(self, run: ScheduledRun) -> set[int]:
        """Return the steps of branches, and those that an earlier session was told to keep."""
        steps = {
            job.branch_step
            for jobs in self._jobs.values()
            for job in jobs
            if job.trunk is not None and job.trunk.identity == run.identity
        }
        return steps.union(_recorded_keeps(run.folder) or ())

    def _parent(self, run: ScheduledRun) -> str | None:
        """Return the folder that a run starts from; empty for none, None while it is not known."""
        trunk, step = run.trunk, run.branch_step
        if trunk is None or list_steps(run.folder.checkpoints, "step"):
            return ""  # it resumes from its own checkpoint
        saved = list_steps(trunk.folder.checkpoints, "step")
        if step not in saved and _will_save(trunk, step, saved):
            run.reason = f"waits for step {step:,} of {trunk.job.name}"
            return None
        if any(0 < one <= step for one in saved):
            return str(trunk.folder.path)
        self.print_line(
            f"{run.job.name}: trains from its first update: {trunk.job.name} has no checkpoint up "
            f"to step {step:,}"
        )
        run.trunk, run.branch_step = None, 0
        return ""

    def _sharer(self, run: ScheduledRun) -> Sharer:
        content = run.config.as_dict()
        if run.identity not in self._factors:
            self._factors[run.identity] = learning_rate_factors(run.config)
        saved = tuple(list_steps(run.folder.checkpoints, "step"))
        keeps: tuple[int, ...] | None = None if run.state == "queued" else ()
        if run.state in (*ACTIVE, "elsewhere"):
            # Unknown until it begins: an earlier launch may have planned the same.
            keeps = _recorded_keeps(run.folder)
            saved = tuple(step for step in saved if step in (keeps or ()))  # others may be removed
        is_waited_for = any(job.trunk is run for jobs in self._jobs.values() for job in jobs)
        is_new = run.state == "queued" and run.trunk is None and not saved
        return Sharer(
            family_key(content),
            run_key(content),
            self._factors[run.identity],
            saved,
            keeps,
            is_open=run.is_open and run.trunk is None,
            can_branch=is_new and not is_waited_for,
        )

    def _print(self, branches: dict[str, Branch]) -> None:
        """Say which runs start where, and what that saves; or that nothing is shared."""
        jobs = {key: found[0] for key, found in self._jobs.items()}
        if not branches:
            is_new = all(
                job.state == "queued" and not list_steps(job.folder.checkpoints, "step")
                for job in jobs.values()
            )
            if is_new and not self._has_said_nothing:
                self._has_said_nothing = True
                self.print_line(_NOTHING)
            return
        by_trunk: dict[str, list[str]] = {}
        for key, branch in branches.items():
            trunk = jobs[key].trunk
            assert trunk is not None
            where = f"{jobs[key].job.name} from step {branch.step:,}"
            by_trunk.setdefault(trunk.job.name, []).append(where)
        for name, starts in list(by_trunk.items())[:_SHOWN_TRUNKS]:
            self.print_line(f"parent=auto: {name} is the trunk of {', '.join(starts)}")
        if len(by_trunk) > _SHOWN_TRUNKS:
            more = format_count(len(by_trunk) - _SHOWN_TRUNKS, "more trunk")
            self.print_line(f"parent=auto: and {more}")
        saved = _describe_savings([jobs[key] for key in branches], list(jobs.values()))
        self.print_line(f"parent=auto: {saved}")


def _describe_savings(branches: Sequence[ScheduledRun], runs: Sequence[ScheduledRun]) -> str:
    """State the updates and FLOPs that branches take over, of those of all open runs."""
    updates = sum(run.branch_step for run in branches)
    total = sum(run.config.training.steps for run in runs if run.is_open)
    flops = sum(
        run.training_flops * run.branch_step / run.config.training.steps for run in branches
    )
    cost = f", which saves {flops:.2g} FLOPs" if flops else ""
    verb = "takes" if len(branches) == 1 else "take"
    number = format_count(len(branches), "run")
    return f"{number} {verb} over {updates:,} of {total:,} updates{cost}"


def learning_rate_factors(config: RunConfig) -> list[float]:
    """Return the factor of the peak learning rate of each update of a run."""
    schedule = build_schedule(resolve(config))
    return [schedule(step) for step in range(config.training.steps)]


def plan_arms(configs: Sequence[RunConfig]) -> tuple[list[RunConfig], list[int]]:
    """Plan the arms of a sweep as if none had started, to predict their time and disk space.

    Args:
        configs: of different arms, or runs.

    Returns:
        The configurations, in which trunks keep the checkpoints of their branches, and the step at
        which each run starts.
    """
    asking = [position for position, config in enumerate(configs) if config.parent == AUTO_PARENT]
    contents = {position: configs[position].as_dict() for position in asking}
    sharers = [
        Sharer(family_key(content), run_key(content), learning_rate_factors(configs[position]))
        for position, content in contents.items()
    ]
    planned, starts = list(configs), [0] * len(configs)
    for branch, found in plan_branches(sharers).items():
        starts[asking[branch]] = found.step
        trunk = asking[found.trunk]
        planned[trunk] = keeping_steps(planned[trunk], {found.step})
    return planned, starts


def keeping_steps(config: RunConfig, steps: set[int]) -> RunConfig:
    """Return a configuration that keeps the checkpoints of further steps."""
    kept = tuple(sorted(steps.union(config.checkpoint.keep_steps)))
    checkpoint = dataclasses.replace(config.checkpoint, keep_steps=kept)
    return dataclasses.replace(config, checkpoint=checkpoint)


def _will_save(trunk: ScheduledRun, step: int, saved: Sequence[int]) -> bool:
    """Whether a trunk may still save the checkpoint of a step."""
    if not trunk.is_open:
        return False
    if trunk.folder.status().get("status") == "running":
        return step in (_recorded_keeps(trunk.folder) or ())
    return max(saved, default=0) <= step


def _recorded_keeps(folder: RunFolder) -> tuple[int, ...] | None:
    """Return the steps that a run keeps by its ``config.yaml``; None where none can be read."""
    try:
        content = load_plain(folder.config.read_bytes())
        return tuple(content["checkpoint"]["keep_steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
