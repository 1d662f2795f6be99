from __future__ import annotations

import json

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
