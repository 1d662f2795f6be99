from __future__ import annotations

import json
import math
from typing import Any

import torch
from torch import nn

from lmlab.training.optimizer_state import flatten_optimizer, restore_optimizer


def make() -> torch.optim.AdamW:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


def test_torchs_optimizers_are_written_as_before() -> None:
    tensors, record = flatten_optimizer(make())
    assert set(record) == {"numbers", "groups"}
    assert record["groups"][0]["betas"] == [0.9, 0.999]
    assert set(tensors) == {
        f"optimizer.{index}.{key}" for index in (0, 1) for key in ("exp_avg", "exp_avg_sq", "step")
    }


def test_state_that_belongs_to_no_parameter_is_restored() -> None:
    optimizer, other = make(), make()
    optimizer.state["all"] = {"best": 1.5, "mean": torch.ones(2, dtype=torch.float64)}
    tensors, record = flatten_optimizer(optimizer)
    restore_optimizer(other, tensors, json.loads(json.dumps(record)))
    assert other.state["all"]["best"] == 1.5
    assert other.state["all"]["mean"].dtype is torch.float64
    assert other.param_groups[0]["betas"] == (0.9, 0.999)


class Further(torch.optim.SGD):
    """Has a function and state of no parameter in its state dict."""

    def __init__(self, weight: torch.nn.Parameter) -> None:
        super().__init__([weight], lr=0.1)
        self.state["all"] = {"rule": abs, "count": 0}  # type: ignore[index]

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"curve": {"shape": math.sqrt, "count": 3}}


def test_a_function_beside_the_state_is_taken_from_the_new_optimizer() -> None:
    first, second = (Further(torch.nn.Parameter(torch.zeros(2))) for _ in range(2))
    first.state["all"]["count"] = 7  # type: ignore[index]
    restore_optimizer(second, *flatten_optimizer(first))
    assert second.state["all"] == {"rule": abs, "count": 7}  # type: ignore[index]
