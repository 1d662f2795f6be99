"""Counts and the classes that they count take the same parameters."""

from __future__ import annotations

import importlib
import inspect

import pytest
from small_models import leaf, options

# Objects that a class receives from the program and that cost nothing by themselves.
SUPPLIED = {"model.attention": {"pos"}}
KINDS = ("norm", "pos", "ffn", "attention", "embedding", "residual", "head")
# What counts take in addition, because the class gets it after its construction.
FURTHER = {"d_values"}
COMPONENTS = [
    (f"model/{kind}", option) for kind in KINDS
    for option in options(f"model/{kind}")
]  # fmt: skip


@pytest.mark.parametrize(("group", "option"), COMPONENTS)
def test_counts_take_the_parameters_of_the_class(group: str, option: str) -> None:
    module, _, name = str(leaf(group, option)["_target_"]).rpartition(".")
    component = getattr(importlib.import_module(module), name)
    counts = getattr(importlib.import_module(f"{module}_counts"), name)
    supplied = SUPPLIED.get(group.replace("/", "."), set())
    expected = {key: p.default for key, p in inspect.signature(component).parameters.items()}
    found = {
        key: p.default
        for key, p in inspect.signature(counts).parameters.items()
        if key not in FURTHER
    }
    assert found == {key: default for key, default in expected.items() if key not in supplied}
