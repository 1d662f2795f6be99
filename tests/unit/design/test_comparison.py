"""The declaration of a study: its arms, and the settings that it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
from designs import a_design
from omegaconf import OmegaConf

from lmlab.config.paths import conf_folder
from lmlab.design.comparison import TOLERANCE
from lmlab.errors import ConfigError


def test_tolerance_without_a_declaration_is_that_of_the_configuration() -> None:
    declared = OmegaConf.load(conf_folder() / "design" / "comparison.yaml")
    assert declared.tolerance == TOLERANCE


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
        ({"keep_d_ff": ["c"]}, "design.keep_d_ff: unknown arm c, expected some of"),
        ({"confirm_rate": "yes"}, "design.confirm_rate=yes: expected one of auto, always, never"),
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


@pytest.mark.parametrize(
    ("changes", "needed", "test"),
    [
        ({"num_seeds": 5}, 6, "t"),
        ({"num_seeds": 6}, 6, "sign_flips"),
        ({"num_seeds": 6, "extra_seeds": 4}, 7, "t"),
        ({"num_seeds": 6, "alpha": 0.0625}, 5, "sign_flips"),
        ({"num_seeds": 8, "arms": {name: [] for name in "abcdefghi"}}, 9, "t"),
        ({"num_seeds": 9, "arms": {name: [] for name in "abcdefghi"}}, 9, "sign_flips"),
        ({"num_seeds": 6, "replicate": "again"}, 6, "sign_flips"),
    ],
)
def test_auto_chooses_sign_flips_where_the_seeds_suffice(
    changes: dict[str, Any], needed: int, test: str
) -> None:
    design = a_design(test="auto", **changes)
    assert (design.seeds_for_sign_flips, design.test) == (needed, test)
    level = design.alpha / max(design.family, 1) / (2 if design.extra_seeds else 1)
    assert 2 ** (1 - needed) <= level < 2 ** (2 - needed)


def test_fields_that_are_newer_than_a_manifest_are_left_out_at_their_defaults() -> None:
    assert not {"test", "earlier_looks", "confirm_rate", "keep_d_ff"} & a_design().as_dict().keys()
    assert a_design().confirm_rate == "never", "as in studies that are older than the setting"
    assert a_design(confirm_rate="auto").as_dict()["confirm_rate"] == "auto"
    assert a_design(test="sign_flips").as_dict()["test"] == "sign_flips"
