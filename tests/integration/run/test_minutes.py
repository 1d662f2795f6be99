"""A run of some minutes that is killed trains the steps that were measured, to the same bits."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from launching import hold_at

from lmlab.config.compose import compose, load_frozen
from lmlab.run_folder import RunFolder
from lmlab.runs.measured_length import find_length


def the_run(root: Path) -> RunFolder:
    (found,) = root.glob("runs/*/seed0")
    return RunFolder(found)


def timeless(run: RunFolder) -> list[dict[str, Any]]:
    drop = ("seconds", "tokens_per_second")
    return [{key: v for key, v in row.items() if key not in drop} for row in run.rows()]


@pytest.mark.long
def test_the_run_resumes_with_the_steps_that_were_measured(
    overrides: list[str], train: Any, start: Any, tmp_path: Path
) -> None:
    cut, straight = tmp_path / "cut", tmp_path / "straight"
    shared = [one for one in overrides if "training.steps" not in one]
    minutes = [*shared, "training.minutes=0.03", f"output_root={cut}"]
    steps = find_length(compose(minutes))[0].training.steps
    assert steps > 7
    process = start(minutes, functools.partial(hold_at, 7))
    while not list(cut.glob("runs/*/seed0/checkpoints/step_00000005/state.json")):
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert load_frozen(the_run(cut).config).training.steps == steps
    shutil.rmtree(cut / "cache" / "lengths")  # as on a machine that only has the run
    assert train(minutes) == 0
    assert the_run(cut).status()["step"] == steps
    assert train([*shared, f"training.steps={steps}", f"output_root={straight}"]) == 0
    assert timeless(the_run(cut)) == timeless(the_run(straight))
    weights = [
        the_run(root).checkpoints / f"step_{steps:08d}" / "model.safetensors"
        for root in (cut, straight)
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()
