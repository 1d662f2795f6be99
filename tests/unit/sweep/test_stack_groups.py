"""Runs that may train as one model are grouped once, and grouped the same again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.run_folder import RunFolder
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.stack_groups import StackGroups

RunsOf = Callable[..., list[ScheduledRun]]


@pytest.fixture
def runs_of(overrides: list[str], tmp_path: Path) -> RunsOf:
    def build(number: int, *more: str, first_seed: int = 0) -> list[ScheduledRun]:
        runs = []
        for seed in range(first_seed, first_seed + number):
            config = compose([*overrides, f"seed={seed}", *more])
            job = Job("+".join(["a", *more]), None, seed)
            runs.append(ScheduledRun(job, [], config, RunFolder(tmp_path / str(seed)), tmp_path))
        return runs

    return build


def groups_of(tmp_path: Path, limit: int = 4, min_stacks: int = 1) -> StackGroups:
    return StackGroups(SweepFolder(tmp_path / "sweep"), lambda config: limit, min_stacks)


@pytest.mark.parametrize(
    ("runs", "limit", "slots", "sizes"),
    [
        (6, 4, 1, [3, 3]),  # two stacks are needed; of equal size
        (7, 4, 1, [4, 3]),
        (6, 8, 3, [2, 2, 2]),  # all slots are busy
        (3, 8, 3, [3]),  # but no run is alone where it could be stacked
        (1, 8, 3, [1]),
    ],
)
def test_the_sizes_of_new_stacks(
    tmp_path: Path, runs_of: RunsOf, runs: int, limit: int, slots: int, sizes: list[int]
) -> None:
    groups = groups_of(tmp_path, limit, slots)
    waiting = runs_of(runs)
    stacks = list(groups.group(waiting))
    assert [len(names) for names, _ in stacks] == sizes
    assert sorted(name for names, _ in stacks for name in names) == sorted(
        groups.folder.job_file(run.job, "yaml").name for run in waiting
    )


def test_runs_of_different_models_are_in_different_stacks(tmp_path: Path, runs_of: RunsOf) -> None:
    runs = [*runs_of(2), *runs_of(2, "model.norm=post"), *runs_of(2, "optim.lr=0.5")]
    stacks = list(groups_of(tmp_path).group(runs))
    models = [{run.config.model.norm.target for run in members} for _, members in stacks]
    assert sorted(len(members) for _, members in stacks) == [2, 4]
    assert all(len(found) == 1 for found in models)


def test_an_interrupted_stack_keeps_its_members_and_their_order(
    tmp_path: Path, runs_of: RunsOf
) -> None:
    ((names, runs),) = groups_of(tmp_path).group(runs_of(4))
    # Two members are done, and the rerun has two more runs.
    unfinished = [runs[3], runs[1], *runs_of(2, first_seed=9)]
    (kept, members), (new, _) = groups_of(tmp_path).group(unfinished)
    assert kept == names
    assert [run.key for run in members] == [runs[1].key, runs[3].key]
    assert not set(new) & set(names)


def test_another_limit_makes_other_stacks(tmp_path: Path, runs_of: RunsOf) -> None:
    assert len(list(groups_of(tmp_path, limit=4).group(runs_of(4)))) == 1
    assert len(list(groups_of(tmp_path, limit=2).group(runs_of(4)))) == 2
    assert len(list(groups_of(tmp_path, limit=4).group(runs_of(4)))) == 1


def test_two_launches_at_once_form_the_same_stacks(tmp_path: Path, runs_of: RunsOf) -> None:
    one, two = groups_of(tmp_path, limit=2), groups_of(tmp_path, limit=2)
    runs = runs_of(4)
    formed = [names for names, _ in one.group(runs)]
    # The other launch started before these were kept, and finds one of the runs done already.
    assert [names for names, _ in two.group(runs[1:])] == [formed[1], formed[0]]


def test_a_run_that_another_launch_groups_meanwhile_is_left_to_it(
    tmp_path: Path, runs_of: RunsOf
) -> None:
    one, two = groups_of(tmp_path, limit=2), groups_of(tmp_path, limit=2)
    slow = two.group(runs_of(4))
    first, _ = next(slow)
    others = [names for names, _ in one.group(runs_of(4)[1:])]
    assert others[0] == first, "by the kept group, though one of its runs is missing here"
    assert list(slow) == []
    assert [names for names, _ in two.group(runs_of(4))] == others, "at the next call"
