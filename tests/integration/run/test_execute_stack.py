"""Runs that train as a stack: their files, and kills at random moments."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from launching import Prepare, hold_at
from stack_process import run_stack
from stacks import members, runs, stack, weights

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.runs.stacked.execute_stack import execute_stack


@pytest.mark.long
def test_stacked_runs_equal_separate_runs(overrides, tmp_path: Path) -> None:
    more = [
        *overrides,
        "training.steps=100",
        "validation.every_steps=50",
        "model.tie_embeddings=true",
    ]
    together, apart = tmp_path / "together", tmp_path / "apart"
    stack(members(more, together))
    for own in members(more, apart):
        execute(compose(own))
    expected = runs(apart)
    assert list(expected) == list(runs(together)) == ["a", "b", "c"]
    for arm, found in runs(together).items():
        other = expected[arm]
        assert files(found) == files(other)
        assert found.status()["status"] == other.status()["status"] == "done"
        assert found.status().keys() == other.status().keys()
        assert found.meta()["identity"] == other.meta()["identity"]
        assert found.meta().keys() == other.meta().keys()
        ours, theirs = (run.meta()["sessions"][0] for run in (found, other))
        assert ours.keys() == theirs.keys()
        assert (ours["stacked"], theirs["stacked"]) == (3, 1)
        for mine, yours in zip(found.rows(), other.rows(), strict=True):
            assert mine.keys() == yours.keys()
            assert (mine["kind"], mine["step"]) == (yours["kind"], yours["step"])
            assert mine["loss"] == pytest.approx(yours["loss"], abs=1e-4)
    stack(members(more, together))
    assert all(len(run.meta()["sessions"]) == 1 for run in runs(together).values())


def files(run: RunFolder) -> set[str]:
    return {str(path.relative_to(run.path)) for path in run.path.rglob("*")}


@pytest.mark.parametrize(
    "kills", [1, pytest.param(8, marks=[pytest.mark.long, pytest.mark.exhaustive])]
)
def test_kills_change_no_bit_though_members_resume_at_different_steps(
    overrides, tmp_path: Path, kills: int
) -> None:
    more = [
        *overrides,
        f"training.steps={40 * kills}",
        "checkpoint.every_steps=1",
        "validation.every_steps=25",
        "runtime.preflight=off",
    ]
    straight, cut = members(more, tmp_path / "straight"), members(more, tmp_path / "cut")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lmlab.runs.stacked.execute_stack"])

    def start(wanted: list[list[str]], prepare: Prepare | None = None) -> Any:
        process = context.Process(target=run_stack, args=(wanted, prepare))
        process.start()
        return process

    calm = start(straight)
    calm.join()
    assert calm.exitcode == 0
    moments, apart = random.Random(1), 0
    for kill in range(kills):
        before = sum(steps(tmp_path / "cut").values())
        # On a fast machine, the stack would end before the last kill.
        process = start(cut, functools.partial(hold_at, 40 * (kill + 1) - 1))
        while process.is_alive() and sum(steps(tmp_path / "cut").values()) <= before:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the stack ended before it was killed"
        apart += len(set(steps(tmp_path / "cut").values())) > 1
    last = start(cut)
    last.join()
    assert last.exitcode == 0
    print(f"{kills} kills, {apart} of them left the members at different steps")
    for arm, run in runs(tmp_path / "straight").items():
        other = runs(tmp_path / "cut")[arm]
        assert len(other.meta()["sessions"]) == kills + 1
        assert weights(other, 40 * kills) == weights(run, 40 * kills)
        drop = ("seconds", "tokens_per_second")
        ours, theirs = (
            [{key: v for key, v in row.items() if key not in drop} for row in one.rows()]
            for one in (other, run)
        )
        assert ours == theirs


def steps(root: Path) -> dict[str, int]:
    """The newest checkpoint of each run."""
    return {
        arm: max((int(path.name[5:]) for path in run.checkpoints.glob("step_*")), default=0)
        for arm, run in runs(root).items()
    }


def test_runs_of_two_shapes_cannot_be_stacked(overrides, tmp_path: Path) -> None:
    wanted = members(overrides, tmp_path, a=["optim.lr=1e-3"], b=["training.batch_size=8"])
    with pytest.raises(ConfigError, match="expected configurations that differ in seeds"):
        execute_stack([compose(own) for own in wanted])
    assert not runs(tmp_path)
