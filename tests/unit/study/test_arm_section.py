"""The arms of a report: differences from the baseline, learning rates, costs."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest

from lmlab.design.comparison import QUANTITIES
from lmlab.study.arm_section import build_arms, build_costs
from lmlab.study.run_records import Study, load_study


@pytest.fixture(scope="module")
def study(finished_study: Path) -> Study:
    return load_study(finished_study)


def test_differences_are_those_of_the_configurations_alone(study: Study) -> None:
    arms = {arm["name"]: arm for arm in build_arms(study)}
    assert list(arms) == ["rms", "post", "none", "again"]
    assert [name for name, arm in arms.items() if arm["is_baseline"]] == ["rms"]
    assert arms["rms"]["differences"] == arms["again"]["differences"] == []
    assert {
        "key": "model.norm",
        "baseline": "PreRMSNorm",
        "arm": "PostRMSNorm",
    } in arms["post"]["differences"]
    keys = {row["key"].split(".")[0] for arm in arms.values() for row in arm["differences"]}
    assert keys == {"model"}, "neither seeds, rates nor names"


def test_only_searched_arms_have_an_edge_of_divergence(study: Study) -> None:
    arms = {arm["name"]: arm for arm in build_arms(study)}
    assert arms["again"]["edge"] is None
    assert arms["again"]["best_lr"] == arms["rms"]["best_lr"]
    for name in ("rms", "post", "none"):
        stable, diverged = arms[name]["edge"]
        assert stable < diverged <= 1.5 * stable * 1.01


def test_runs_without_a_comparison_are_arms_by_name(study: Study) -> None:
    assert study.manifest is not None
    plain = dataclasses.replace(
        study, manifest=dataclasses.replace(study.manifest, comparison=None)
    )
    arms = {arm["name"]: arm for arm in build_arms(plain)}
    assert arms["post"]["commands"] == ["python -m lmlab.train model.norm=post"]
    assert arms["again"]["commands"] == []
    bare = build_arms(dataclasses.replace(study, manifest=None))
    assert [arm["name"] for arm in bare] == list(arms)
    assert all(arm["best_lr"] is None for arm in bare)


def test_allowed_differences_in_cost_are_noted(study: Study) -> None:
    costs = build_costs(study)
    assert [row[0] for row in costs["rows"]] == ["rms", "post", "none"]
    assert costs["notes"] == [
        "All arms match the baseline: parameters, FLOPs per token, training tokens, evaluation "
        "tokens, batches (steps x sequences), context, data and tokenizer are equal."
    ]
    assert study.manifest is not None and study.manifest.comparison is not None
    for quantity in QUANTITIES:  # batches, for example, are no number
        design = dataclasses.replace(study.manifest.comparison, tolerance={quantity: 0.1})
        manifest = dataclasses.replace(study.manifest, comparison=design)
        assert build_costs(dataclasses.replace(study, manifest=manifest)) == costs
    design = dataclasses.replace(study.manifest.comparison, allow=["parameters"])
    larger = study.arm_costs | {"post": study.arm_costs["post"] | {"parameters": 1500}}
    changed = dataclasses.replace(
        study, arm_costs=larger, manifest=dataclasses.replace(study.manifest, comparison=design)
    )
    (note,) = build_costs(changed)["notes"]
    assert note.startswith("Allowed by the study: post: parameters 1,500, but 1,000 in rms")


def test_a_single_arm_matches_nothing(study: Study) -> None:
    assert (
        build_costs(dataclasses.replace(study, arm_costs={"rms": study.arm_costs["rms"]}))["notes"]
        == []
    )


def test_without_recorded_costs_the_table_is_empty(study: Study) -> None:
    empty = {"columns": [], "rows": [], "notes": []}
    assert build_costs(dataclasses.replace(study, arm_costs={})) == empty


def test_a_configured_rate_is_a_change_and_a_searched_one_is_not(study: Study) -> None:
    assert study.manifest is not None and study.manifest.comparison is not None
    arms = copy.deepcopy(study.manifest.arms)
    arms[1]["optim"]["lr"] = 0.5
    design = dataclasses.replace(study.manifest.comparison, lr="fixed")
    manifest = dataclasses.replace(study.manifest, arms=arms)
    for one, changed in ((manifest, []), (dataclasses.replace(manifest, comparison=design), [0.5])):
        post = build_arms(dataclasses.replace(study, manifest=one))[1]
        found = [row["arm"] for row in post["differences"] if row["key"] == "optim.lr"]
        assert found == [str(rate) for rate in changed]
