from __future__ import annotations

import collections
import copy
from typing import Any

import numpy as np
import pytest
import torch

from lmlab.distributed.comparable import comparable
from lmlab.distributed.exact_load import full_state, load_exactly, unsaved_attributes
from lmlab.distributed.state_layout import allocate, layout_without_tensors
from lmlab.training.optimizer_state import flatten_optimizer, restore_optimizer


class Odd(torch.optim.SGD):
    """Keeps a count, a list of parameters and an alias of its state in attributes."""

    def __init__(self, weight: torch.nn.Parameter) -> None:
        super().__init__([weight], lr=0.1)
        self.count, self.weights, self.alias = 0, [weight], None


def test_types_of_values_are_kept_where_torch_converts_them() -> None:
    first, second = (Odd(torch.nn.Parameter(torch.zeros(2))) for _ in range(2))
    big = torch.tensor([2**40 + 1, 0])
    first.state[first.weights[0]] = {"big": big, "name": "text", "list": [big.clone(), "x"]}
    load_exactly(second, copy.deepcopy(full_state(first)))
    state = second.state[second.weights[0]]
    assert state["big"].dtype is torch.int64 and torch.equal(state["big"], big)
    assert state["name"] == "text" and state["list"][1] == "x"
    assert torch.equal(state["list"][0], big)


def test_numbers_outside_the_state_dict_are_part_of_it_and_parameters_are_not() -> None:
    first, second = (Odd(torch.nn.Parameter(torch.zeros(2))) for _ in range(2))
    first.count = 7
    first.state[first.weights[0]] = {"mean": torch.ones(2)}
    first.alias = first.state[first.weights[0]]["mean"]
    state, own = full_state(first), second.weights[0]
    load_exactly(second, state)
    assert second.count == 7
    assert second.weights[0] is own and second.alias is None


def test_torchs_optimizers_have_nothing_to_add() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    for kind in (torch.optim.AdamW, torch.optim.SGD, torch.optim.NAdam):
        assert set(full_state(kind([weight], lr=0.1))) == {"state", "param_groups"}


@pytest.mark.parametrize(
    "value",
    [
        np.array([[1.5, 2.0]]),
        np.arange(3, dtype=np.uint16),
        np.array([True]),
        np.float32(0.1),
        np.int64(2**53 + 1),
        collections.deque([1.0, 2.0], maxlen=3),
        collections.OrderedDict(b=1, a=np.ones(2)),
        torch.bfloat16,
        torch.device("cpu"),
        {"scales": [np.float64(2.0), (torch.ones(2), None)]},
    ],
    ids=str,
)
def test_arrays_and_containers_in_attributes_are_saved(value: Any) -> None:
    first, second = (Odd(torch.nn.Parameter(torch.zeros(2))) for _ in range(2))
    first.count = value
    restore_optimizer(second, *flatten_optimizer(first))
    assert type(second.count) is type(value)
    assert comparable(second.count) == comparable(value)
    assert getattr(second.count, "maxlen", None) == getattr(value, "maxlen", None)
    assert "count" not in unsaved_attributes(first)
    received = allocate(layout_without_tensors(full_state(first)), torch.device("cpu"))
    second.count = None
    load_exactly(second, received)
    assert comparable(second.count) == comparable(value), "other ranks receive it, too"


@pytest.mark.parametrize(
    "value",
    [object(), np.array([object()]), np.longdouble(1), np.array([1.0], dtype=">f8")],
    ids=["object", "array of objects", "long double", "foreign byte order"],
)
def test_values_that_no_checkpoint_holds_are_named(value: Any) -> None:
    optimizer = Odd(torch.nn.Parameter(torch.zeros(2)))
    before = unsaved_attributes(optimizer)
    optimizer.count = value
    assert before.keys() == {"weights"}
    assert unsaved_attributes(optimizer).keys() == {"weights", "count"}
    flatten_optimizer(optimizer)
