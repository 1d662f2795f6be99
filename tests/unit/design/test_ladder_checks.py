"""Rungs differ in size only, and no setting is lost on them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.design.ladder_checks import check_rungs, check_rungs_of_arms
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
