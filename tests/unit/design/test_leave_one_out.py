"""The declaration of a stack that is taken apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from stack_studies import a_stack, stack_manifest

from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError


def test_each_arm_leaves_out_one_change_and_the_last_one_all() -> None:
    design = a_stack(changes={
        "norm": [["model.norm=rms"], ["model.norm=post"]], "muon": ["optim=muon"],
    })  # fmt: skip
    assert design.arms == {
        "stack": ["model.norm=post", "optim=muon"],
        "without-norm": ["model.norm=rms", "optim=muon"],
        "without-muon": ["model.norm=post"],
        "plain": ["model.norm=rms"],
    }
    assert design.comparison.baseline == "stack"
    assert design.comparison.family == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"changes": {"a": ["x=1"]}}, "expected two changes or more"),
        ({"changes": {"stack": ["x=1"], "b": ["y=1"]}}, "design.changes.stack: expected a name"),
        ({"lr": "transfer"}, "design.lr=transfer: expected search or fixed"),
        ({"replicate": "without-a"}, "a name that no arm has"),
    ],
)
def test_what_makes_no_stack_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        a_stack(**changes)


def test_a_stack_survives_a_file() -> None:
    manifest = stack_manifest(a_stack(replicate="again"))
    read = Manifest.from_dict(json.loads(json.dumps(manifest.as_dict())))
    assert read == manifest and read.id == manifest.id
    assert read.leave_one_out == manifest.leave_one_out
