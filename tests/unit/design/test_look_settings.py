"""Settings of sequential looks: defaults, limits, and what a manifest keeps of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from designs import a_design

from lmlab.design.comparison import Comparison
from lmlab.design.look_settings import DEFAULTS
from lmlab.errors import ConfigError


def test_defaults_are_those_of_the_declaration() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Comparison)}
    assert {name: fields[name] for name in DEFAULTS} == DEFAULTS


def test_a_fixed_study_lists_none_of_them() -> None:
    assert not set(DEFAULTS) & set(a_design().as_dict())
    sequential = a_design(look="sequential", max_seeds=9)
    assert Comparison(**sequential.as_dict()) == sequential
    assert sequential.as_dict()["look"] == "sequential"


@pytest.mark.parametrize(
    ("num_seeds", "extra", "most"), [(5, 5, 13), (5, 3, 10), (5, 0, 7), (1, 0, 3)]
)
def test_a_quarter_more_seeds_at_most(num_seeds: int, extra: int, most: int) -> None:
    design = a_design(look="sequential", num_seeds=num_seeds, extra_seeds=extra)
    assert (design.first_seeds, design.most_seeds) == (3, most)
    fixed = a_design(num_seeds=num_seeds, extra_seeds=0)
    assert (fixed.first_seeds, fixed.most_seeds) == (num_seeds, num_seeds)


def test_auto_is_the_t_test_however_many_seeds_there_are() -> None:
    assert a_design(num_seeds=12, test="auto").test == "sign_flips"
    assert a_design(num_seeds=12, test="auto", look="sequential").test == "t"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"look": "often"}, "design.look=often: expected fixed or sequential"),
        ({"look": "sequential", "min_seeds": 1}, "design.min_seeds=1: expected 2 or more"),
        ({"look": "sequential", "max_seeds": 2}, "design.max_seeds=2: expected design.min_seeds=3"),
        ({"look": "sequential", "futility": 1.0}, "design.futility=1.0: expected a probability"),
        ({"look": "sequential", "max_runs": 0}, "design.max_runs=0: expected 1 or more"),
        ({"look": "sequential", "max_minutes": 0}, "design.max_minutes=0: expected a number"),
        (
            {"look": "sequential", "test": "sign_flips"},
            "design.test=sign_flips: expected t or auto",
        ),
        ({"look": "sequential", "baseline": None}, "design.look=sequential: expected fixed"),
        ({"max_seeds": 9}, "design.max_seeds=9: expected null with design.look=fixed"),
        ({"max_runs": 9}, "design.max_runs=9: expected null with design.look=fixed"),
        ({"min_seeds": 9}, "design.min_seeds=9: expected 3 with design.look=fixed"),
        ({"futility": 0.0}, "design.futility=0.0: expected 0.05 with design.look=fixed"),
    ],
)
def test_other_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        a_design(**changes)
    assert message in str(error.value)
