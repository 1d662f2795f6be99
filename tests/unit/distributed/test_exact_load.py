from __future__ import annotations

import copy

import torch

from lmlab.distributed.exact_load import full_state, load_exactly


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
