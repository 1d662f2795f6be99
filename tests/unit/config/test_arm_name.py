from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.config.arm_name import arm_name
from lmlab.config.compose import compose
from lmlab.config.identity_settings import identity_settings

keys = st.sampled_from(["model.norm", "optim.lr", "model.d_ff", "data.train", "a.b", "a"])
values = st.text("ab1.-_/+, []é", max_size=60)
sets = st.dictionaries(keys, values, max_size=4)


def words(chosen: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in chosen.items()]


@settings(max_examples=500, deadline=None)
@given(sets, sets)
def test_different_overrides_give_different_names(one: dict[str, str], two: dict[str, str]) -> None:
    assert (arm_name(words(one)) == arm_name(words(two))) == (one == two)


@settings(max_examples=40, deadline=None)
@given(sets)
def test_names_are_folder_names_and_need_no_quotes(chosen: dict[str, str]) -> None:
    name = arm_name(words(chosen))
    assert re.fullmatch(r"[A-Za-z0-9._+-]+", name)
    assert len(name) <= 120
    assert arm_name(list(reversed(words(chosen)))) == name
    assert compose([f"arm={name}"]).arm == name


def test_names_say_what_was_chosen() -> None:
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
def test_what_makes_no_arm_is_not_in_its_name(override: str) -> None:
    assert arm_name([override]) == "default"
    assert arm_name([override, "optim.lr=1"]) == "optim.lr-1"


def meant(*overrides: str) -> dict[str, Any]:
    return identity_settings(compose(list(overrides)))


@pytest.mark.parametrize(
    "override",
    [
        "model.norm=post", "model.d_model=64", "model.norm.eps=1e-6", "optim.lr=1", "optim=sgd",
        "schedule=linear", "schedule.warmup_steps=1", "training.steps=601",
        "training.batch_size=64", "training.micro_batch_size=1", "training.grad_clip_norm=2",
        "validation.every_steps=7", "validation.max_tokens=99", "seeds.init=1", "seeds.data=1",
        "seed=1", "model.tie_embeddings=true", "model.vocab_size=999",
    ],
)  # fmt: skip
def test_what_changes_the_result_changes_the_meaning(override: str) -> None:
    assert meant(override) != meant()


@pytest.mark.parametrize(
    "override",
    [
        "study=x", "arm=y", "output_root=/tmp/x", "logger=none", "logger.project=p",
        "samples.count=2", "seeds.sampling=4", "checkpoint.keep_last=5", "checkpoint.every_steps=9",
        "runtime.device=cpu", "training.log_every=3", "validation.batch_size=8", "parent=x",
    ],
)  # fmt: skip
def test_what_changes_no_result_keeps_the_meaning(override: str) -> None:
    assert meant(override) == meant()
