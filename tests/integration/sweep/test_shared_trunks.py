"""Horizons that branch from one trunk have the bits of runs that train alone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweep_fixtures import FAULTY, Sweeps

from lmlab.run_folder import RunFolder

WaitFor = Callable[..., None]
HORIZONS = [
    "-m", "schedule=wsd", "schedule.decay_fraction=0.5", "schedule.warmup_steps=2",
    "validation.every_steps=3", "training.steps=8,14,24", "training.log_every=1",
    "arm=s${training.steps}",
]  # fmt: skip
TIMES = ("seconds", "tokens_per_second")


def results(sweeps: Sweeps, study: str) -> dict[str, list[Any]]:
    """All rows without times, and the last and the best weights of each run."""
    found: dict[str, list[Any]] = {}
    for path in sorted((sweeps.outputs / study).glob("*/seed*")):
        run = RunFolder(path)
        rows = [{k: v for k, v in row.items() if k not in TIMES} for row in run.rows()]
        kept = [sorted(run.checkpoints.glob(f"{kind}_*"))[-1] for kind in ("step", "best")]
        weights = [(one.name, (one / "model.safetensors").read_bytes()) for one in kept]
        found[run.meta()["identity"]["config"]["training"]["steps"]] = [rows, weights]
    return found


@pytest.mark.long
def test_branches_have_the_bits_of_runs_alone_and_costs_are_counted_once(sweeps: Sweeps) -> None:
    printed = sweeps.run(*HORIZONS, "parent=auto", "study=shared")
    assert "is the trunk of s8/seed0 from step 5, s14/seed0 from step 8" in printed
    assert "parent=auto: 2 runs take over 13 of 46 updates, which saves " in printed
    sweeps.run(*HORIZONS, "study=alone", "reuse=false")
    assert results(sweeps, "shared") == results(sweeps, "alone")
    meta = {
        path.parent.parent.name: json.loads(path.read_text())
        for path in (sweeps.outputs / "shared").glob("*/seed0/meta.json")
    }
    assert {name: one["sessions"][0]["from_step"] for name, one in meta.items()} == {
        "s8": 5, "s14": 8, "s24": 0
    }  # fmt: skip
    parents = {name: one["parent"] for name, one in meta.items()}
    assert parents["s24"] is None
    assert Path(parents["s8"]).parent.name == "s24"
    report = (sweeps.outputs / "shared" / "report.md").read_text()
    note = "2 runs started from a checkpoint of another: 13 updates ("
    assert note in report
    assert note not in (sweeps.outputs / "alone" / "report.md").read_text()
    again = sweeps.run(*HORIZONS, "parent=auto", "study=shared")
    assert "3 of 3 runs are done" in again and "parent=auto:" not in again
    assert set(sweeps.sessions("shared").values()) == {1}


@pytest.mark.long
def test_a_killed_launch_resumes_to_the_same_bits(sweeps: Sweeps, wait_for: WaitFor) -> None:
    slow = [FAULTY, "+model.ffn.what=slow", "checkpoint.every_steps=2"]
    horizons = [one.replace("8,14,24", "8,24") for one in HORIZONS]
    arguments = [*horizons, *slow, "hydra.launcher.report=false"]
    process = sweeps.start(*arguments, "parent=auto", "study=shared")
    trunk = sweeps.outputs / "shared" / "s24" / "seed0" / "checkpoints"
    # Checkpoints that are not kept exist for a moment only.
    wait_for(lambda: any(int(one.name[5:]) >= 10 for one in trunk.glob("step_*")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    sweeps.run(*arguments, "parent=auto", "study=shared")
    assert (trunk / "step_00000005").is_dir(), "kept steps stay"
    sweeps.run(*arguments, "study=alone", "reuse=false")
    assert results(sweeps, "shared") == results(sweeps, "alone")
