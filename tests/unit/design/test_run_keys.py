"""Keys of arms: what belongs to them, and how differences are named."""

from __future__ import annotations

from lmlab.config.compose import compose
from lmlab.design.run_keys import arm_settings, differing, run_seeds, value_of


def test_a_component_is_one_difference() -> None:
    left, right = (
        arm_settings(compose([f"model.norm={norm}", "optim.lr=0.5"]).as_dict())
        for norm in ("none", "post")
    )
    assert differing(left, right) == ["model.norm"]
    assert value_of(left, "model.norm") != value_of(right, "model.norm")
    assert value_of(left, "optim.lr") == "0.5"


def test_names_and_seeds_are_no_settings() -> None:
    one = compose(["study=a", "arm=x", "seed=1", "samples.count=2"]).as_dict()
    other = compose(["study=b", "arm=y", "seed=2", "logger=none"]).as_dict()
    assert arm_settings(one) == arm_settings(other)
    assert run_seeds(one) == (1, 1)
