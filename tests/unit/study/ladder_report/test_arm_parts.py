"""What a ladder shares with other studies is that of its rungs."""

from __future__ import annotations

import dataclasses
import shlex

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.study.ladder_report.arm_parts import (
    ladder_arms,
    ladder_costs,
    ladder_curves,
    ladder_runs,
    ladder_samples,
    ladder_setup,
)
from lmlab.study.ladder_report.ladder_study import LadderStudy


def test_arms_are_those_of_the_ladder_with_a_command_for_each_rung(fixed: LadderStudy) -> None:
    base, new, again = ladder_arms(fixed)
    assert (base["name"], new["name"], again["name"]) == ("base", "new", "again")
    assert base["is_baseline"] and new["overrides"] == ["model.norm=post"]
    assert [len(arm["commands"]) for arm in (base, new, again)] == [4, 4, 4]


def test_the_command_of_a_cell_composes_the_configuration_of_its_run(fixed: LadderStudy) -> None:
    manifest = fixed.facts.manifest
    typed = shlex.join(
        ["python", "-m", "lmlab.train", "-m", "design=ladder", "ladder=sizes", "ladder.sizes=4",
         "study=ladder", "scale=smoke", "++design.arms.new=[model.norm=post]",
         "model.d_model=16", "training.batch_size=8"]
    )  # fmt: skip
    arms = []
    for overrides in manifest.overrides:
        own = ["scale=smoke", "study=ladder", "training.batch_size=8", *overrides]
        arms.append(compose(own).as_dict() | {"design": None})
    typed_manifest = dataclasses.replace(manifest, command=typed, arms=arms)
    found = dataclasses.replace(
        fixed, study=dataclasses.replace(fixed.study, manifest=typed_manifest)
    )
    for arm in ladder_arms(found):
        command = shlex.split(arm["commands"][1])
        assert command[:3] == ["python", "-m", "lmlab.train"] and "-m" not in command[3:]
        assert not any("design" in one or "ladder." in one for one in command[3:])
        composed = compose(command[3:]).as_dict()
        seed = 2000 if arm["name"] == "again" else 0
        expected = typed_manifest.job_config(Job(f"r2-{arm['name']}", 0.003, seed))
        for key in ("model", "optim", "training", "schedule", "data", "seed", "study", "arm"):
            assert composed[key] == expected[key], key


def test_setup_and_costs_cover_the_rungs(fixed: LadderStudy) -> None:
    rows = dict(map(tuple, ladder_setup(fixed)))
    assert rows["baseline"] == "base" and "width 32" in rows["model on r1"]
    assert "steps x batch" not in rows
    costs = ladder_costs(fixed)
    assert [row[0] for row in costs["rows"]][:3] == ["r1-base", "r1-new", "r2-base"]
    assert costs["notes"][0].startswith("On each rung, all arms match")


def test_curves_are_of_judged_runs_and_name_their_rung(transfer: LadderStudy) -> None:
    parts = ladder_curves(transfer)
    assert len(parts["curves"]) == 36, "three seeds of three arms on four rungs"
    assert sorted({curve["rung"] for curve in parts["curves"]}) == ["r1", "r2", "r3", "r4"]
    rungs = [curve["rung"] for curve in parts["curves"]]
    assert rungs == sorted(rungs), "the page chooses the last, also where an arm lacks a rung"
    assert {curve["arm"] for curve in parts["curves"]} == {"base", "new", "again"}


def test_runs_go_up_the_rungs_and_samples_are_of_the_highest(transfer: LadderStudy) -> None:
    runs = ladder_runs(transfer)
    assert len(runs) == len(transfer.study.records)
    assert [row["rung"] for row in runs] == sorted(row["rung"] for row in runs)
    assert {row["purpose"] for row in runs} >= {"search", "judged", "bracket"}
    samples = ladder_samples(transfer)
    assert [(one["arm"], one["text"]) for one in samples] == [
        ("base", "One day base"), ("new", "One day new"), ("again", "One day again"),
    ]  # fmt: skip
