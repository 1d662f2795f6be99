"""The declaration of a study: its arms, and the settings that it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
from designs import a_design

from lmlab.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {}}, "design.arms={}: expected at least one arm"),
        ({"arms": {"a": {}}}, "design.arms.a={}: expected a list of overrides"),
        ({"arms": {"a": 3}}, "design.arms.a=3: expected a list of overrides"),
        ({"arms": {"a": None}}, "design.arms.a=None: expected a list of overrides"),
        ({"arms": {"a": "model.norm=post"}}, "help: write for example design.arms.a=['model.nor"),
        ({"arms": {"a": ["model.norm"]}}, "design.arms.a=model.norm: expected a list of over"),
        ({"arms": {"a": [3]}}, "design.arms.a=3: expected a list of overrides"),
        ({"lr": "guess"}, "design.lr=guess: expected search or fixed"),
        ({"lr_factor": 1.0}, "design.lr_factor=1.0: expected 1.05 to 1000"),
        ({"edge_ratio": 0.5}, "design.edge_ratio=0.5: expected a number of 1.01 or more"),
        ({"num_seeds": 0}, "design.num_seeds=0: expected 1 or more"),
        ({"num_tuning_seeds": 0}, "design.num_tuning_seeds=0: expected 1 or more"),
        ({"extra_seeds": -1}, "design.extra_seeds=-1: expected 0 or more"),
        ({"num_seeds": 1, "extra_seeds": 2}, "extra seeds require at least two first seeds"),
        ({"alpha": 1.0}, "design.alpha=1.0: expected a number between 0 and 1"),
        ({"power": 0.0}, "design.power=0.0: expected a number between 0 and 1"),
        ({"margin": -1.0}, "design.margin=-1.0: expected a finite number, 0 or more"),
        ({"expected_sd": 0.0}, "design.expected_sd=0.0: expected a finite number above 0"),
        ({"margin": math.inf}, "design.margin=inf: expected a finite number"),
        ({"alpha": math.nan}, "design.alpha=nan: expected a number between 0 and 1"),
        ({"lr_factor": 1.0001}, "design.lr_factor=1.0001: expected 1.05 to 1000"),
        ({"edge_ratio": math.inf}, "design.edge_ratio=inf: expected a number of 1.01 or more"),
        ({"expected_sd": math.inf}, "design.expected_sd=inf: expected a finite number"),
        ({"tolerance": {"flops": -0.1}}, "design.tolerance.flops=-0.1: expected a finite number"),
        ({"metric": "acc"}, "design.metric=acc: expected one of loss, bits_per_byte"),
        ({"replicate": "a"}, "design.replicate=a: expected a name that no arm has"),
        ({"arms": {"a b": []}, "baseline": None}, "design.arms.a b: expected a name of"),
        ({"replicate": "a/b"}, "design.arms.a/b: expected a name of"),
        ({"baseline": "c"}, "design.baseline=c: expected one of a, b"),
        ({"baseline": None, "replicate": "c"}, "design.replicate=c: expected null without"),
        ({"allow": ["paramters"]}, 'help: did you mean "parameters"?'),
        ({"tolerance": {"flop": 0.1}}, 'help: did you mean "flops"?'),
        ({"allow": ["colour"]}, "design.allow: unknown quantity colour, expected one of par"),
    ],
)
def test_an_invalid_declaration_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        a_design(**changes)
    assert message in str(caught.value)


def test_the_replicate_is_judged_and_compared_but_the_baseline_only_judged() -> None:
    design = a_design(replicate="again")
    assert design.judged_arms == ["a", "b", "again"]
    assert design.compared_arms == ["b", "again"]
    assert a_design(baseline=None).compared_arms == []


def test_the_declaration_survives_a_file() -> None:
    design = a_design(allow=["context"])
    assert type(design)(**design.as_dict()) == design
