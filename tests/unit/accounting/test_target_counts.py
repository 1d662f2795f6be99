"""Counts found by ``_target_``: every option of the model, and torch's optimizers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_models import leaf, options

from lmlab.accounting.target_counts import UnknownCostError, counts_of
from lmlab.errors import ConfigError


@pytest.mark.parametrize("group", ["model/norm", "model/pos", "model/ffn", "model/attention"])
def test_every_option_of_the_model_has_counts(group: str) -> None:
    without_counts = []
    for option in options(group):
        try:
            counts_of(group, leaf(group, option))
        except UnknownCostError:
            without_counts.append(option)
    assert without_counts == []


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Adam", {}), ("AdamW", {"amsgrad": True}), ("SGD", {}), ("SGD", {"momentum": 0.9}),
        ("RAdam", {}), ("Adamax", {}), ("Adagrad", {}), ("RMSprop", {}), ("NAdam", {}),
    ],
)  # fmt: skip
def test_the_state_of_a_torch_optimizer_is_as_large_as_counted(
    name: str, parameters: dict[str, Any]
) -> None:
    weights = torch.nn.Parameter(torch.ones(3, 5))
    weights.grad = torch.ones(3, 5)
    optimizer = getattr(torch.optim, name)([weights], lr=0.1, **parameters)
    optimizer.step()
    states = optimizer.state[weights].values()
    num_values = sum(value.numel() for value in states if torch.is_tensor(value) and value.ndim)
    counts = counts_of("optim", {"_target_": f"torch.optim.{name}", "lr": 0.1, **parameters})
    assert counts(hidden=10, other=5).state == num_values


def test_parameters_of_the_component_reach_its_counts() -> None:
    leaf = {"_target_": "lmlab.nn.attention.CausalSelfAttention", "num_kv_heads": 1}
    grouped = counts_of("model.attention", leaf)(d_model=64, num_heads=4)
    assert grouped.parameters == 2 * 64 * 64 + 2 * 64 * 16


def test_a_component_without_counts_is_reported_with_the_module_to_write() -> None:
    with pytest.raises(UnknownCostError) as error:
        counts_of("model.ffn", {"_target_": "mine.ffn.Mine"})
    assert error.value.message == (
        "model.ffn._target_=mine.ffn.Mine: its parameter, FLOP and memory counts are unknown"
    )
    assert error.value.help is not None
    assert error.value.help.startswith("define Mine in the module mine.ffn_counts")
    assert isinstance(error.value, ConfigError)


def test_an_unknown_torch_optimizer_is_reported() -> None:
    with pytest.raises(UnknownCostError, match=r"optim\._target_=torch\.optim\.LBFGS"):
        counts_of("optim", {"_target_": "torch.optim.LBFGS"})
