from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.config.arm_name import arm_name
from lmlab.config.compose import compose

keys = st.sampled_from(["model.norm", "optim.lr", "model.d_ff", "data.train", "a.b", "a"])
values = st.text("ab1.-_/+, []é", max_size=60)
sets = st.dictionaries(keys, values, max_size=4)


def overrides_of(chosen: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in chosen.items()]


@settings(max_examples=500, deadline=None)
@given(sets, sets)
def test_different_overrides_give_different_names(one: dict[str, str], two: dict[str, str]) -> None:
    assert (arm_name(overrides_of(one)) == arm_name(overrides_of(two))) == (one == two)


@settings(max_examples=500, deadline=None)
@given(sets)
def test_a_name_is_a_folder_name_that_needs_no_quotes(chosen: dict[str, str]) -> None:
    name = arm_name(overrides_of(chosen))
    assert re.fullmatch(r"[A-Za-z0-9._+-]+", name)
    assert len(name) <= 120
    assert arm_name(list(reversed(overrides_of(chosen)))) == name


@pytest.mark.parametrize("examples", [3, pytest.param(40, marks=pytest.mark.long)])
def test_a_name_is_a_value_that_needs_no_quotes(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(sets)
    def check(chosen: dict[str, str]) -> None:
        name = arm_name(overrides_of(chosen))
        assert compose([f"arm={name}"]).arm == name

    check()


def test_a_name_lists_the_overrides() -> None:
    assert arm_name([]) == "default"
    assert arm_name(["model/norm=post", "optim.lr=1e-3"]) == "model.norm-post+optim.lr-1e-3"
    assert arm_name(["model.norm=post"]) == arm_name(["+model/norm=post"])
    assert arm_name(["data.train=/a/b/c.txt"]).startswith("data.train-c.txt-")


@pytest.mark.parametrize(
    "override",
    [
        "seed=1", "seeds.init=2", "study=x", "output_root=/tmp/x", "logger=none",
        "hydra/launcher=a", "logger.project=p", "samples.count=2", "checkpoint.keep_last=5",
        "runtime.device=cpu",
        "experiment=e", "+experiment=e", "parent=x", "training.log_every=3", "hydra.mode=RUN",
    ],
)  # fmt: skip
def test_settings_that_do_not_distinguish_arms_are_not_in_the_name(override: str) -> None:
    assert arm_name([override]) == "default"
    assert arm_name([override, "optim.lr=1"]) == "optim.lr-1"


def test_experiments_that_are_swept_distinguish_arms() -> None:
    assert arm_name(["experiment=a", "seed=1"]) == "default"
    assert arm_name(["experiment=a", "seed=1"], {"experiment", "seed"}) == "experiment-a"


def test_a_scale_is_no_part_of_a_name_unless_it_is_swept_or_the_only_one() -> None:
    assert arm_name(["scale=smoke", "optim.lr=1"]) == "optim.lr-1"
    assert arm_name(["scale=smoke", "scale.num_seeds=3", "reuse=false"]) == "scale-smoke"
    assert arm_name(["scale=smoke", "optim.lr=1"], ["scale"]) == "scale-smoke+optim.lr-1"
    assert arm_name(["scale=smoke", "optim.lr=1"], ["optim.lr"]) == "optim.lr-1"
