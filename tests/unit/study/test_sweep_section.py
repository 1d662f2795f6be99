"""What was swept follows from the overrides of the runs, whatever form they have."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from lmlab.design.manifest import Job, Manifest
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.sweep_section import build_sweep


def a_study(overrides: list[list[str]], losses: list[float] | None = None, **config: Any) -> Study:
    arms: list[dict[str, Any]] = [{"seed": 0} for _ in overrides]
    manifest = Manifest("s", "command", arms, [str(i) for i in range(len(arms))], overrides)
    records = [
        RunRecord(
            Job(str(number), None, 0, number), ("run",), "f", {"status": "done"}, {},
            [{"loss": losses[number] if losses else 3.0 + number}], [], "",
            settings=config | dict(text.split("=") for text in overrides[number] if config),
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
    sweep = build_sweep(a_study([["optim.lr=1e-3"], []], **{"optim.lr": 0.02}))
    assert [point["values"] for point in sweep["points"]] == [[0.001], [0.02]]


def test_the_results_are_sorted_and_an_arm_that_diverged_comes_last() -> None:
    study = a_study(
        [["model.norm=rms"], ["model.norm=post"], ["model.norm=none"]], [3.5, math.nan, 3.25]
    )
    again = dataclasses.replace(study.records[0], validation=[{"loss": 3.7}])
    other = dataclasses.replace(study.records[1], validation=[{"loss": 1.0}])
    rows = build_sweep(dataclasses.replace(study, records=[*study.records, again, other]))["rows"]
    assert [row["values"] for row in rows] == [["none"], ["rms"], ["post"]]
    assert [row["seeds"] for row in rows] == [1, 2, 1]
    assert [row["mean"] for row in rows] == pytest.approx([3.25, 3.6, None])
    assert rows[1]["sd"] == pytest.approx(0.2 / math.sqrt(2)) and rows[2]["sd"] is None
    assert rows[2]["status"] == "1 diverged, 1 done"


def test_a_comparison_of_arms_is_no_sweep(finished_study: Path) -> None:
    from lmlab.study.run_records import load_study

    study = load_study(finished_study)
    assert build_sweep(study) == {"keys": [], "points": [], "rows": []}
    assert build_sweep(dataclasses.replace(study, manifest=None)) == {
        "keys": [],
        "points": [],
        "rows": [],
    }
