"""Dotted keys select options like Hydra's slashes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lmlab.config.group_selection import extract_choices, is_set, rewrite, rewrite_all
from lmlab.config.paths import conf_folder

CONF = [conf_folder()]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("model.norm=post", "model/norm=post"),
        ("model/norm=post", "model/norm=post"),
        ("model.norm=post,none", "model/norm=post,none"),
        ("+model.norm=post", "+model/norm=post"),
        ("model.norm.eps=1", "model.norm.eps=1"),
        ("model.d_model=8", "model.d_model=8"),
        ("model.norm={a: 1}", "model.norm={a: 1}"),
        ("optim=sgd", "optim=sgd"),
        ("+experiment=x", "experiment=x"),
        ("hydra.launcher=lmlab", "hydra/launcher=lmlab"),
        ("model.norm", "model.norm"),
        ("data.train=model.norm", "data.train=model.norm"),
        ("exhibit=generate", "demo=generate"),
        ("+exhibit.count=2", "+demo.count=2"),
    ],
)
def test_dots_become_slashes_where_a_group_has_that_name(given: str, expected: str) -> None:
    assert rewrite(given, CONF) == expected


@pytest.mark.parametrize(
    ("override", "sets_steps"),
    [
        ("training.steps=5", True),
        ("++training.steps=5", True),
        ("training={ema: 0.9, steps: 5}", True),
        ("~training.steps", False),
        ("training.log_every=5", False),
        ("training={warmup_steps: 5}", False),
        ("schedule.steps=5", False),
    ],
)
def test_a_setting_is_set_alone_or_in_a_mapping(override: str, sets_steps: bool) -> None:
    assert is_set(["seed=1", override], "training", "steps") == sets_steps


def test_of_several_choices_from_a_group_the_last_is_kept() -> None:
    given = ["model.norm=post", "optim.lr=1", "model/norm=none", "optim.lr=2"]
    assert rewrite_all(given, CONF) == ["optim.lr=1", "model/norm=none", "optim.lr=2"]


@pytest.mark.parametrize(
    ("body", "choices", "rest"),
    [
        ({"model": {"norm": "post"}}, {"model/norm": "post"}, {"model": {}}),
        ({"model.norm": "post"}, {"model/norm": "post"}, {}),
        ({"model/norm": "post"}, {"model/norm": "post"}, {}),
        ({"optim": "sgd", "study": "optim"}, {"optim": "sgd"}, {"study": "optim"}),
        ({"model": {"norm": {"eps": 1}}}, {}, {"model": {"norm": {"eps": 1}}}),
        (
            {"model": {"norm": "post", "d_model": 8}, "training": {"steps": 3}},
            {"model/norm": "post"},
            {"model": {"d_model": 8}, "training": {"steps": 3}},
        ),
        ({"hydra": {"launcher": "slurm"}}, {}, {"hydra": {"launcher": "slurm"}}),
    ],
)
def test_choices_are_moved_out_of_a_body(
    body: dict[str, Any], choices: dict[str, str], rest: dict[str, Any]
) -> None:
    body = copy.deepcopy(body)
    assert extract_choices(body, CONF) == choices
    assert body == rest
