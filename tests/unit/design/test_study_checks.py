"""Studies that make no sense are refused before anything trains."""

from __future__ import annotations

from typing import Any

import pytest
from designs import a_design

from lmlab.config.compose import compose
from lmlab.design.study_checks import check_overrides, check_study
from lmlab.errors import ConfigError


def configs(*overrides: list[str]) -> list[dict[str, Any]]:
    return [compose([*each, "logger=none"]).as_dict() for each in overrides]


@pytest.fixture(scope="module")
def two_arms() -> list[dict[str, Any]]:
    return configs([], ["model.norm=post"])


def test_a_sensible_study_passes(two_arms: list[dict[str, Any]]) -> None:
    check_study(a_design(replicate="again"), two_arms)
    check_study(a_design(lr="fixed", num_seeds=1), two_arms)


@pytest.mark.parametrize(
    "override",
    ["seed=4", "seeds.init=1", "study=other", "arm=x", "output_root=/tmp/x", "design.margin=1",
     "+seeds.data=3", "experiment=lr_search", "hydra.launcher.jobs_per_device=2"],
)  # fmt: skip
def test_an_arm_sets_nothing_that_all_arms_share(override: str) -> None:
    with pytest.raises(ConfigError, match=r"design\.arms\.b: .*expected settings of the arm alone"):
        check_overrides(a_design(arms={"a": [], "b": ["model.norm=post", override]}))


def test_two_arms_of_one_configuration_are_named() -> None:
    same = configs(["optim.lr=1e-3"], ["optim.lr=0.001"])
    with pytest.raises(ConfigError, match="a and b have the same configuration"):
        check_study(a_design(), same)


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({}, ["seed=997"], "seeds up to 1001 overlap with those that tune the learning rate"),
        ({}, ["seed=1500"], "overlap with those that tune"),
        ({"num_tuning_seeds": 1001}, [], "design.num_tuning_seeds=1001: expected at most 1000"),
        ({"lr": "fixed", "num_seeds": 2001, "replicate": "again"}, [], "expected at most 2000"),
        ({}, ["seeds.init=7", "seeds.data=8"], "all seeds of a train the same run"),
    ],
)
def test_seeds_serve_one_purpose(
    changes: dict[str, Any], overrides: list[str], message: str
) -> None:
    arms = configs(overrides, [*overrides, "model.norm=post"])
    with pytest.raises(ConfigError) as caught:
        check_study(a_design(**changes), arms)
    assert message in str(caught.value)


def test_a_search_starts_at_a_positive_rate(two_arms: list[dict[str, Any]]) -> None:
    for rate in (0.0, -1.0, float("inf"), None):
        arms = [arm | {"optim": arm["optim"] | {"lr": rate}} for arm in two_arms]
        with pytest.raises(ConfigError, match=r"optim\.lr=|has no parameter lr"):
            check_study(a_design(), arms)
        check_study(a_design(lr="fixed"), arms)
