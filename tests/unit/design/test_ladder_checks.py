"""Rungs differ in size only, and no setting is lost on them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.design.ladder_checks import check_entropy, check_rungs, check_rungs_of_arms
from lmlab.errors import ConfigError

RUNGS = [
    ["model.d_model=32", "training.steps=100", "schedule.warmup_steps=10"],
    ["model.d_model=64", "training.steps=400", "schedule.warmup_steps=40"],
]


@pytest.mark.parametrize("override", ["model.d_model=128", "+training.steps=5"])
def test_an_arm_cannot_undo_a_rung(override: str) -> None:
    with pytest.raises(ConfigError, match=r"design.arms.new: .*expected no setting of the rungs"):
        check_rungs({"base": [], "new": [override]}, RUNGS, [])


@pytest.mark.parametrize(
    ("typed", "is_lost"),
    [
        ("training.steps=5", True),
        ("model/d_model=48", True),
        ("model.d_model=64", True),
        ("model.d_model=32", False),
        ("schedule.warmup_steps=7", False),
        ("optim.lr=1e-3", False),
    ],
)
def test_a_typed_setting_that_every_rung_replaces_is_refused(typed: str, is_lost: bool) -> None:
    if not is_lost:
        check_rungs({"base": []}, RUNGS, [typed])
        return
    with pytest.raises(ConfigError, match="this has no effect: every rung of the ladder sets"):
        check_rungs({"base": []}, RUNGS, [typed])


def test_a_typed_setting_that_some_rungs_replace_applies_to_the_others() -> None:
    rungs = [["model.d_model=32"], ["model.d_model=64", "training.steps=400"]]
    (note,) = check_rungs({"base": []}, rungs, ["training.steps=5", "model.d_model=32"])
    assert note == (
        "training.steps=5 does not apply to rungs with their own value: r2 (training.steps=400)"
    )
    with pytest.raises(ConfigError, match=r"which set training\.steps to 400\n"):
        check_rungs({"base": [], "new": ["training.steps=5"]}, rungs, [])


@pytest.mark.parametrize("length", ["training.tokens=3000", "training.flops=1e9"])
def test_a_second_length_beside_that_of_the_rungs_is_refused_where_it_stands(length: str) -> None:
    with pytest.raises(ConfigError, match=r"design\.arms\.new: training.*set training\.steps to"):
        check_rungs({"base": [], "new": [length]}, RUNGS, [])
    with pytest.raises(ConfigError, match=r"^training.*which set training\.steps to 100, 400"):
        check_rungs({"base": []}, RUNGS, [length])
    with pytest.raises(ConfigError, match=r"^training.steps=9.*which set training\."):
        check_rungs({"base": []}, [[length], [length]], ["training.steps=9"])


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("model", "context_length", 64), ("validation", "max_tokens", 9), ("data", "seed", 1)],
)
def test_rungs_are_evaluated_on_the_same_tokens(section: str, key: str, value: Any) -> None:
    config = compose([]).as_dict()
    other = copy.deepcopy(config)
    check_rungs_of_arms([config, config, other, config], 2)
    other[section][key] = value
    with pytest.raises(ConfigError, match=f"expected one {section}.* on rung 2"):
        check_rungs_of_arms([config, config, other, config], 2)


def test_an_arm_whose_steps_are_to_be_measured_is_refused() -> None:
    config = compose([]).as_dict()
    measured = compose(["training.minutes=1"]).as_dict()
    with pytest.raises(ConfigError, match=r"training\.minutes=1: expected null in a ladder"):
        check_rungs_of_arms([config, measured, config, measured], 2)


def test_a_text_has_less_entropy_than_uniform_guesses() -> None:
    check_entropy(5.63, 280)
    with pytest.raises(ConfigError, match=r"design\.entropy=5\.64: expected less than 5\.635 nats"):
        check_entropy(5.64, 280)
