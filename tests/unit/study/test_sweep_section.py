"""What was swept follows from the overrides of the runs, whatever form they have."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from lmlab.design.manifest import Job, Manifest
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.sweep_section import build_sweep


def a_study(overrides: list[list[str]], **config: Any) -> Study:
    arms = [{"seed": 0, **config} for _ in overrides]
    manifest = Manifest("s", "command", arms, [str(i) for i in range(len(arms))], overrides)
    records = [
        RunRecord(
            Job(str(number), None, 0, number), ("run",), "f", {"status": "done"}, {},
            [{"loss": 3.0 + number}], [], "",
        )
        for number in range(len(arms))
    ]  # fmt: skip
    return Study("s", Path("s"), manifest, {}, records)


def test_settings_that_differ_between_runs_were_swept() -> None:
    study = a_study(
        [["scale=smoke", "+optim.lr=1e-3", "model/norm=rms", "seed=0", "samples.count=1"],
         ["scale=smoke", "+optim.lr=0.01", "model/norm=true", "seed=1", "samples.count=2"]]
    )  # fmt: skip
    sweep = build_sweep(study)
    assert sweep["keys"] == ["optim.lr", "model.norm"], "seeds and samples change no result"
    assert [point["values"] for point in sweep["points"]] == [[0.001, "rms"], [0.01, True]]
    assert [point["loss"] for point in sweep["points"]] == [3.0, 4.0]


def test_equal_numbers_are_one_value() -> None:
    assert build_sweep(a_study([["optim.lr=1e-3"], ["optim.lr=0.001"]]))["keys"] == []


def test_a_run_without_the_override_has_the_configured_value() -> None:
    sweep = build_sweep(a_study([["optim.lr=1e-3"], []], optim={"lr": 0.02}))
    assert [point["values"] for point in sweep["points"]] == [[0.001], [0.02]]


def test_a_comparison_of_arms_is_no_sweep(finished_study: Path) -> None:
    from lmlab.study.run_records import load_study

    study = load_study(finished_study)
    assert build_sweep(study) == {"keys": [], "points": []}
    assert build_sweep(dataclasses.replace(study, manifest=None)) == {"keys": [], "points": []}
