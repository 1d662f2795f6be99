"""Facts that everything which shows a study shares."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.run_folder import RunFolder, final_state
from lmlab.study.plain_runs import settings_of_job
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.study_facts import (
    count_states,
    describe_states,
    groups,
    is_finished,
    setting_values,
    swept_settings,
)


def a_sweep(*jobs: list[str]) -> Study:
    configs = [compose([*job, "logger=none"]).as_dict() | {"design": None} for job in jobs]
    names = [config["arm"] for config in configs]
    manifest = Manifest("s", "", configs, names, [list(job) for job in jobs])
    records = [
        RunRecord(
            Job(name, None, config["seed"], number), ("run",), f"s/{number}", {"status": "done"},
            {}, [{"step": 9, "loss": 2.0 + number}], [], "", settings=settings_of_job(config),
        )
        for number, (name, config) in enumerate(zip(names, configs, strict=True))
    ]  # fmt: skip
    return Study("s", Path("outputs/s"), manifest, {}, records)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_last_evaluation_that_is_not_finite_is_divergence(tmp_path: Path, loss: float) -> None:
    run = RunFolder(tmp_path)
    for step, value in ((0, 6.0), (5, loss)):
        run.append_row({"kind": "validation", "step": step, "loss": value})
    run.write_status("done", step=5, steps=5)
    assert run.status()["status"] == "diverged"
    assert final_state("done", run.rows("validation")) == "diverged"
    run.append_row({"kind": "validation", "step": 6, "loss": 3.0})
    assert run.status()["status"] == "done"


def test_swept_settings_are_those_that_differ() -> None:
    study = a_sweep(
        *[
            ["scale=smoke", "model.norm=" + norm, f"optim.lr={lr}", f"seed={seed}"]
            for norm in ("rms", "post")
            for lr in ("1e-3", "1e-2")
            for seed in (0, 1)
        ]
    )
    assert swept_settings(study) == ["model.norm", "optim.lr"]
    (arm, lr) = groups(study)[0].arm, groups(study)[0].lr
    values = setting_values(study, arm, ["model.norm", "optim.lr"])
    assert (
        values["optim.lr"] in ("1e-3", "1e-2")
        and float(values["optim.lr"]) == lr
        and values["model.norm"] in ("rms", "post")
    )
    assert [len(group.records) for group in groups(study)] == [2] * 4
    alone = Study("s", study.folder, None, {}, study.records)
    assert sorted(swept_settings(alone)) == ["model.norm", "optim.lr"]


def test_one_configuration_sweeps_nothing() -> None:
    assert swept_settings(a_sweep(["seed=0"], ["seed=1"])) == []


def test_states_are_counted_and_described() -> None:
    states: list[Any] = ["done", "failed", "done", "preempted"]
    records = [
        RunRecord(Job("a", None, seed), ("run",), str(seed), {"status": state}, {}, [], [], "")
        for seed, state in enumerate(states)
    ]
    counts = count_states(records)
    assert (counts["done"], counts["failed"], counts["preempted"], counts["missing"]) == (
        2,
        1,
        1,
        0,
    )
    assert describe_states(states) == "2 done, 1 failed, 1 preempted"
    assert not is_finished(records) and is_finished(records[:1]) and not is_finished([])
