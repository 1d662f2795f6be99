"""A run that was killed, any number of times and anywhere, ends with the same bits."""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from launching import hold_at, signal_at
from safetensors.torch import load_file

from lmlab.run_folder import RunFolder


def the_run(root: Path) -> RunFolder:
    (found,) = root.glob("outputs/runs/*/seed0")
    return RunFolder(found)


def final_weights(run: RunFolder, step: int) -> bytes:
    return (run.checkpoints / f"step_{step:08d}" / "model.safetensors").read_bytes()


def timeless(run: RunFolder) -> list[dict[str, Any]]:
    drop = ("seconds", "tokens_per_second")
    return [{key: v for key, v in row.items() if key not in drop} for row in run.rows()]


def elsewhere(overrides: list[str], root: Path) -> list[str]:
    return [*overrides, f"output_root={root / 'outputs'}"]


@pytest.mark.long
@pytest.mark.parametrize("num_kills", [6, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_kills_at_random_moments(overrides, train, start, tmp_path: Path, num_kills: int) -> None:
    steps = 20 * num_kills
    more = [f"training.steps={steps}", "checkpoint.every_steps=1", "validation.every_steps=25"]
    overrides = overrides + more
    assert train(elsewhere(overrides, tmp_path / "straight")) == 0
    straight = the_run(tmp_path / "straight")

    moments = random.Random(0)
    kills = during_saving = 0
    cut = [*elsewhere(overrides, tmp_path / "cut"), "runtime.preflight=off"]
    while kills < num_kills:
        # On a fast machine, the run would end before the last kill.
        process = start(cut, functools.partial(hold_at, 19 * (kills + 1)))
        saved = tmp_path / "cut" / "outputs"
        if kills:  # let it come to training first: the folders are there already
            before = the_run(tmp_path / "cut").rows()[-1:]
            while process.poll() is None and the_run(tmp_path / "cut").rows()[-1:] == before:
                time.sleep(0.002)
        else:
            while not list(saved.glob("runs/*/seed0/checkpoints/step_*")):
                time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.06))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
        during_saving += bool(list(saved.glob("runs/*/seed0/checkpoints/.tmp-*")))
        kills += 1
    assert train(cut) == 0
    print(f"{kills} kills, {during_saving} of them while saving")
    assert final_weights(the_run(tmp_path / "cut"), steps) == final_weights(straight, steps)
    assert timeless(the_run(tmp_path / "cut")) == timeless(straight)


def kill_at_call(of: str, number: int) -> None:
    """Make this process kill itself just before a file operation of a save."""
    from lmlab.training import checkpoint, checkpoint_files

    name = of.removeprefix("os.")
    modules = [os] if of != name else [checkpoint, checkpoint_files]
    owners = [module for module in modules if hasattr(module, name)]
    real, calls = getattr(owners[0], name), 0

    def killing(*arguments: Any) -> Any:
        nonlocal calls
        if "step_00000010" in str(arguments) or ".tmp-" in str(arguments):
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    for owner in owners:
        setattr(owner, name, killing)


@pytest.mark.parametrize(
    ("of", "number"),
    [
        ("write_sealed", 2), ("os.replace", 4),
        *(pytest.param(*point, marks=pytest.mark.long) for point in (
            ("_fsync", 1), ("_fsync", 4), ("os.replace", 2), ("fsync_folder", 1),
            ("remove_checkpoint", 2),
        )),
    ],
)  # fmt: skip
def test_a_kill_at_each_point_of_a_save(
    overrides, train, tmp_path: Path, of: str, number: int
) -> None:
    assert train(elsewhere(overrides, tmp_path / "straight")) == 0
    cut = elsewhere(overrides, tmp_path / "cut")
    assert train(cut, functools.partial(kill_at_call, of, number)) in (-signal.SIGKILL, 0)
    assert train(cut) == 0
    straight, resumed = the_run(tmp_path / "straight"), the_run(tmp_path / "cut")
    assert final_weights(resumed, 20) == final_weights(straight, 20)
    assert timeless(resumed) == timeless(straight)
    assert not list(resumed.checkpoints.glob(".tmp-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_saves_and_a_rerun_resumes(
    overrides, train, tmp_path: Path, number: signal.Signals
) -> None:
    overrides = [*overrides, "training.steps=100", "checkpoint.every_steps=1000"]
    assert train(elsewhere(overrides, tmp_path / "straight")) == 0
    cut = [*elsewhere(overrides, tmp_path / "cut"), "runtime.preflight=off"]
    assert train(cut, signal_at(30, number)) == 128 + number
    run = the_run(tmp_path / "cut")
    status = run.status()
    assert status["status"] == ("preempted" if number == signal.SIGUSR2 else "interrupted")
    assert 0 < status["step"] < 100
    assert train(cut) == 0
    assert run.status()["status"] == "done"
    assert f"resuming {run.path} at step {status['step']}" in run.log.read_text()
    assert final_weights(run, 100) == final_weights(the_run(tmp_path / "straight"), 100)


@pytest.mark.parametrize("damage", ["truncated", "noise"])
def test_a_damaged_newest_checkpoint_is_skipped(
    overrides, train, tmp_path: Path, damage: str
) -> None:
    assert train(elsewhere(overrides, tmp_path / "straight")) == 0
    cut = elsewhere(overrides, tmp_path / "cut")
    assert train(cut, functools.partial(kill_at_call, "write_sealed", 6)) == -signal.SIGKILL
    run = the_run(tmp_path / "cut")
    newest = sorted(run.checkpoints.glob("step_*"))[-1] / "model.safetensors"
    data = newest.read_bytes()
    noise = random.Random(0).randbytes(len(data))
    newest.write_bytes(data[: len(data) // 2] if damage == "truncated" else noise)
    assert train(cut) == 0
    assert f"{newest.parent} is damaged" in run.log.read_text()
    assert "falling back to the previous checkpoint" in run.log.read_text()
    assert final_weights(run, 20) == final_weights(the_run(tmp_path / "straight"), 20)
    assert timeless(run) == timeless(the_run(tmp_path / "straight"))


def test_other_libraries_read_the_newest_weights(overrides, train, tmp_path: Path) -> None:
    assert train(overrides) == 0
    tensors = load_file(the_run(tmp_path).checkpoints / "step_00000020" / "model.safetensors")
    assert tensors["embedding.weight"].shape == (280, 16)
