"""The frozen tree: what it reads, what it refuses, and that it round-trips."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest

from lmlab.config.compose import compose, from_dict
from lmlab.config.run_config import Component, RunConfig


def component() -> Component:
    return Component({"_target_": "a.b.C", "rates": [0.1, 0.2], "scale": 2.0})


def test_a_component_reads_its_parameters() -> None:
    assert component().target == "a.b.C"
    assert component().rates == [0.1, 0.2]
    assert ("scale" in component(), "eps" in component()) == (True, False)
    assert component().parameters == {"rates": [0.1, 0.2], "scale": 2.0}
    assert component().as_dict() == {"_target_": "a.b.C", "rates": [0.1, 0.2], "scale": 2.0}


def test_a_parameter_that_is_not_set_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"a\.b\.C has no 'eps'"):
        component().eps  # noqa: B018
    assert getattr(component(), "eps", None) is None


def test_a_component_cannot_be_changed() -> None:
    one = component()
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.scale = 3.0
    one.parameters["rates"].append(0.3)
    one.as_dict()["rates"].append(0.3)
    assert one.parameters["rates"] == [0.1, 0.2]


def test_a_component_does_not_share_the_values_that_it_was_made_from() -> None:
    content = {"_target_": "a.b.C", "rates": [0.1]}
    one = Component(content)
    content["rates"].append(0.2)
    assert one.rates == [0.1]


def test_components_are_equal_by_content() -> None:
    assert component() == component()
    assert component() == component().as_dict()
    assert hash(component()) == hash(component())
    assert component() != Component({"_target_": "a.b.C", "rates": [0.1, 0.2], "scale": 3.0})


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_a_configuration_survives_copying(copied) -> None:
    config = compose(["optim=muon", "design=comparison", "design.question=q", "design.arms={a:[]}"])
    assert config.cache_folder == Path("outputs/cache")
    other = copied(config)
    assert other == config
    assert other.cache_folder == config.cache_folder
    assert other.as_dict() == config.as_dict()


def test_a_replaced_output_root_moves_the_derived_folders() -> None:
    config = compose(["study=s", "arm=a", "seed=3"])
    assert config.named_folder == Path("outputs/s/a/seed3")
    moved = dataclasses.replace(config, output_root="elsewhere")
    assert moved.cache_folder == Path("elsewhere/cache")
    assert moved.named_folder == Path("elsewhere/s/a/seed3")


def test_plain_values_round_trip() -> None:
    config = compose(["model.norm=post", "checkpoint.keep_steps=[3,5]"])
    content = config.as_dict()
    assert content["checkpoint"]["keep_steps"] == [3, 5]
    assert from_dict(content) == config
    content["model"]["norm"]["eps"] = 1.0
    assert config.model.norm.eps != 1.0


def test_the_tree_is_frozen_at_every_level() -> None:
    config: RunConfig = compose([])
    for node, field in ((config, "arm"), (config.model, "d_model"), (config.seeds, "init")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(node, field, 1)
