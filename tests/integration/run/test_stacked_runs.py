"""Runs that train as a stack: what is on disk, divergence, kills."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from stack_process import run_stack

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.runs.stacked.execute_stack import execute_stack

DIFFERENT = {
    "a": ["optim.lr=1e-3", "seed=1"],
    "b": ["optim.lr=3e-3", "optim.weight_decay=0.3", "optim.betas=[0.8,0.99]", "seed=2"],
    "c": ["optim.lr=3e-3", "schedule.warmup_steps=5", "model.init=xavier_uniform", "seed=3"],
}


def members(overrides: list[str], root: Path, **arms: list[str]) -> list[list[str]]:
    return [
        [*overrides, "runtime.policy=fast", f"output_root={root / 'outputs'}", f"arm={arm}", *own]
        for arm, own in (arms or DIFFERENT).items()
    ]


def runs(root: Path) -> dict[str, RunFolder]:
    found = sorted((root / "outputs" / "runs").glob("*/seed*"))
    return {path.parent.name: RunFolder(path) for path in found}


def weights(run: RunFolder, step: int) -> bytes:
    return (run.checkpoints / f"step_{step:08d}" / "model.safetensors").read_bytes()


def stack(wanted: list[list[str]]) -> None:
    execute_stack([compose(overrides) for overrides in wanted])


def test_runs_of_a_stack_are_those_of_processes_of_their_own(overrides, tmp_path: Path) -> None:
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


def test_a_member_diverges_alone(overrides, tmp_path: Path) -> None:
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    arms = {"a": ["optim.lr=1e-3"], "b": ["optim.lr=2e-3"], "c": ["optim.lr=3e-3"]}
    stack(members(overrides, calm, **arms))
    stack(members(overrides, wild, **(arms | {"b": ["optim.lr=1e30"]})))
    assert runs(wild)["b"].status()["status"] == "diverged"
    for arm in ("a", "c"):
        assert runs(wild)[arm].status()["status"] == "done"
        assert weights(runs(wild)[arm], 20) == weights(runs(calm)[arm], 20)
    assert weights(runs(calm)["b"], 20) != weights(runs(calm)["a"], 20)


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.long)])
def test_kills_change_no_bit_and_members_may_stand_apart(
    overrides, tmp_path: Path, kills: int
) -> None:
    more = [
        *overrides,
        f"training.steps={40 * kills}",
        "checkpoint.every_steps=1",
        "validation.every_steps=25",
    ]
    straight, cut = members(more, tmp_path / "straight"), members(more, tmp_path / "cut")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lmlab.runs.stacked.execute_stack"])

    def start(wanted: list[list[str]]) -> Any:
        process = context.Process(target=run_stack, args=(wanted,))
        process.start()
        return process

    calm = start(straight)
    calm.join()
    assert calm.exitcode == 0
    moments, apart = random.Random(1), 0
    for _ in range(kills):
        before = sum(steps(tmp_path / "cut").values())
        process = start(cut)
        while process.is_alive() and sum(steps(tmp_path / "cut").values()) <= before:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the stack was over before the last kill"
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


def test_a_member_that_is_done_keeps_its_place(overrides, tmp_path: Path) -> None:
    """One of three goes on after the two others were finished: its bits are those of the stack."""
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    stack(members(overrides, straight))
    stack(members(overrides, cut))
    late = runs(cut)["b"]
    removed = late.checkpoints / "step_00000020"
    for path in removed.iterdir():
        path.unlink()
    removed.rmdir()
    late.write_status("interrupted", step=15)
    stack(members(overrides, cut))
    assert late.status()["status"] == "done"
    assert weights(late, 20) == weights(runs(straight)["b"], 20)
    assert len(runs(cut)["a"].meta()["sessions"]) == 1


def test_what_is_wrong_with_one_member_ends_it_alone(overrides, tmp_path: Path) -> None:
    wanted = members(overrides, tmp_path)
    held = compose(wanted[1])
    with RunFolder(Path(held.output_root) / "runs" / "b" / "seed2").lock():
        ended = execute_stack([compose(own) for own in wanted])
    assert [member.exit_code for member in ended] == [0, 75, 0]
    assert "b" not in json.dumps([run.status() for run in runs(tmp_path).values()])
    assert (
        runs(tmp_path)["a"].status()["status"] == runs(tmp_path)["c"].status()["status"] == "done"
    )


def test_runs_of_two_shapes_make_no_stack(overrides, tmp_path: Path) -> None:
    wanted = members(overrides, tmp_path, a=["optim.lr=1e-3"], b=["training.batch_size=8"])
    with pytest.raises(ConfigError, match="expected configurations that differ in seeds"):
        execute_stack([compose(own) for own in wanted])
    assert not runs(tmp_path)
