"""A sealed ladder under Slurm, driven by a job: the seal stands before the highest rung starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lmlab.study.ladders.seals import SEALS_FILE, read_seals

pytestmark = pytest.mark.slurm

RUNGS = str([[f"training.steps={steps}"] for steps in (10, 20, 40, 80)])


def test_a_detached_driver_seals_the_highest_rung_before_it_starts(
    studies: Any, wait_for: Callable[..., None]
) -> None:
    arguments = [
        "experiment=ladder", "study=ladder", "ladder=given", f"ladder.rungs={RUNGS}",
        "~design.arms", "+design.arms={baseline: [], nope: ['model.pos=nope']}",
        "design.lr=fixed", "design.replicate=null", "design.num_seeds=2", "optim.lr=0.02",
        "schedule.warmup=null", "hydra.launcher.arms_per_job=6",
    ]  # fmt: skip
    printed = studies.run(*arguments, "hydra.launcher.wait=false")
    assert "which drives the study" in printed
    folder = studies.outputs / "ladder"
    wait_for((folder / "report.html").exists, seconds=500)
    found = read_seals(folder / SEALS_FILE)
    (seal,) = found.seals
    assert set(seal.losses) == {"baseline", "nope"} and not found.problems
    starts = {
        path.parts[-3]: json.loads(path.read_text())["sessions"][0]["time"]
        for path in folder.glob("*/seed*/meta.json")
    }
    assert len(starts) == 8 and set(studies.statuses("ladder").values()) == {"done"}
    for name, time in starts.items():
        assert (time >= seal.time) == name.startswith("r4-"), (name, time, seal.time)
    before = (folder / SEALS_FILE).read_bytes()
    printed = studies.run(*arguments)
    assert "16 of 16 runs are done" in printed
    assert (folder / SEALS_FILE).read_bytes() == before
    assert set(studies.sessions("ladder").values()) == {1}
