from __future__ import annotations

import pytest
import torch
from torch import nn

from lmlab.runs.stacked.stacked_parameters import StackedParameters


class Table(nn.Linear):
    def __init__(self, value: float) -> None:
        super().__init__(2, 2)
        self.register_buffer("table", torch.tensor([value]), persistent=False)


def test_a_model_moves_into_its_slice_and_keeps_its_parameter_objects() -> None:
    stack = StackedParameters(Table(0.0), 2, torch.device("cpu"))
    model = Table(0.0)
    weight, before = model.weight, model.weight.detach().clone()
    stack.adopt(1, model)
    assert model.weight is weight and torch.equal(stack.tensors["weight"][1], before)
    with torch.no_grad():
        weight.add_(1)
    assert torch.equal(stack.tensors["weight"][1], before + 1)
    assert not stack.tensors["weight"][0].any()


def test_models_with_other_tables_are_refused() -> None:
    stack = StackedParameters(Table(0.0), 2, torch.device("cpu"))
    with pytest.raises(RuntimeError, match="buffer table differs"):
        stack.adopt(0, Table(1.0))
