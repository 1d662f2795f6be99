"""Studies that make no sense are refused before anything trains."""

from __future__ import annotations

from typing import Any

import pytest
from designs import a_design

from lmlab.config.compose import compose
from lmlab.design.comparison import Comparison
from lmlab.design.study_checks import (
    check_arms,
    check_overrides,
    check_overrides_of_rungs,
    check_study,
)
from lmlab.errors import ConfigError


def configs(*overrides: list[str]) -> list[dict[str, Any]]:
    return [compose([*each, "logger=none"]).as_dict() for each in overrides]


def check(design: Comparison, arms: list[dict[str, Any]]) -> tuple[str, ...]:
    """Check arms of which no seed is held at the number of the first one."""
    reseeded = []
    for content in arms:
        seed, other = content["seed"], content["seed"] + 1
        seeds = {name: other if one == seed else one for name, one in content["seeds"].items()}
        reseeded.append(content | {"seed": other, "seeds": seeds})
    return check_study(design, arms, reseeded)


@pytest.fixture(scope="module")
def two_arms() -> list[dict[str, Any]]:
    return configs([], ["model.norm=post"])


def test_a_sensible_study_passes(two_arms: list[dict[str, Any]]) -> None:
    for design in (a_design(replicate="again"), a_design(lr="fixed", num_seeds=1)):
        assert check(design, two_arms) == (), "no seed is held fixed"


@pytest.mark.parametrize(
    "override",
    ["seed=4", "seeds.init=1", "study=other", "arm=x", "output_root=/tmp/x", "design.margin=1",
     "+seeds.data=3", "experiment=lr_search", "hydra.launcher.jobs_per_device=2"],
)  # fmt: skip
def test_an_arm_sets_nothing_that_all_arms_share(override: str) -> None:
    with pytest.raises(ConfigError, match=r"design\.arms\.b: .*expected settings of the arm alone"):
        check_overrides({"a": [], "b": ["model.norm=post", override]})
    with pytest.raises(ConfigError, match=r"ladder\.rungs\[1\]: .*expected settings of the rung"):
        check_overrides_of_rungs([["model.d_model=8"], ["model.d_model=16", override]])


def test_two_arms_of_one_configuration_are_named() -> None:
    same = configs(["optim.lr=1e-3"], ["optim.lr=0.001"])
    with pytest.raises(ConfigError, match="a and b have the same configuration"):
        check(a_design(), same)


def test_a_search_starts_at_a_positive_rate(two_arms: list[dict[str, Any]]) -> None:
    for rate in (0.0, -1.0, float("inf"), None):
        arms = [arm | {"optim": arm["optim"] | {"lr": rate}} for arm in two_arms]
        with pytest.raises(ConfigError, match=r"optim\.lr=|has no parameter lr"):
            check(a_design(), arms)
        check(a_design(lr="fixed"), arms)


def test_arms_of_an_upper_rung_are_checked_too(two_arms: list[dict[str, Any]]) -> None:
    check_arms(a_design(), two_arms)
    without = [two_arms[0], two_arms[1] | {"optim": two_arms[1]["optim"] | {"lr": None}}]
    with pytest.raises(ConfigError, match="the optimizer of b has no parameter lr"):
        check_arms(a_design(), without)
    with pytest.raises(ConfigError, match="have the same configuration"):
        check_arms(a_design(), [two_arms[0], two_arms[0]])
