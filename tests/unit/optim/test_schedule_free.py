"""Schedule-free AdamW against its equations written out, and the weights that it evaluates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lmlab.errors import ConfigError
from lmlab.optim.schedule_free import schedule_free_adamw

SETTINGS = {
    "betas": [0.9, 0.98], "eps": 1e-8, "warmup_steps": 0, "r": 1.0, "weight_lr_power": 2.0,
    "foreach": False,
}  # fmt: skip


def test_iterates_and_their_average_follow_algorithm_1() -> None:
    """Defazio et al. 2024, algorithm 1, of one weight, with averages weighted by t^r lr^2."""
    gradients, lr, decay = [0.5, -1.0, 2.0, 0.25], 0.1, 0.2
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = schedule_free_adamw([{"params": [weight]}], lr=lr, weight_decay=decay, **SETTINGS)
    optimizer.train()
    x = y = z = 1.0
    second, total = 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        second = 0.98 * second + 0.02 * gradient**2
        # The decay is taken at y.
        z -= lr * (gradient / (math.sqrt(second / (1 - 0.98**step)) + 1e-8) + decay * y)
        total += step * lr**2
        x += step * lr**2 / total * (z - x)
        y = 0.1 * z + 0.9 * x
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        assert weight.item() == pytest.approx(y, rel=1e-6)
    optimizer.eval()
    assert weight.item() == pytest.approx(x, rel=1e-6)
    assert abs(x - y) > 1e-3


def test_a_group_may_have_a_decay_of_its_own() -> None:
    weights = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [{"params": [weights[0]]}, {"params": [weights[1]], "weight_decay": 0.0}]
    optimizer = schedule_free_adamw(groups, lr=0.1, weight_decay=0.5, **SETTINGS)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]


def test_a_first_beta_of_zero_is_refused() -> None:
    settings = SETTINGS | {"betas": [0.0, 0.99]}
    with pytest.raises(ConfigError, match=r"optim\.betas=\[0\.0, 0\.99\]: expected a first one ab"):
        schedule_free_adamw([nn.Parameter(torch.ones(1))], lr=0.1, weight_decay=0.0, **settings)
