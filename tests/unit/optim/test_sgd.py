"""SGD with momentum compared with the published algorithm in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from optimizer_cases import assert_resume_is_exact, model_and_optimizer, set_gradients


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_equals_the_published_algorithm(nesterov: bool) -> None:
    model, optimizer = model_and_optimizer(
        "optim=sgd", "optim.lr=0.1", "optim.momentum=0.9", "optim.weight_decay=0.01",
        f"optim.nesterov={str(nesterov).lower()}",
    )  # fmt: skip
    theta = {name: weight.detach().double() for name, weight in model.named_parameters()}
    velocity = {name: torch.zeros_like(value) for name, value in theta.items()}
    for step in range(4):
        set_gradients(model, step)
        for name, weight in model.named_parameters():
            assert weight.grad is not None
            decay = 0.01 if weight.ndim >= 2 else 0.0
            gradient = weight.grad.double() + decay * theta[name]
            velocity[name] = 0.9 * velocity[name] + gradient
            direction = gradient + 0.9 * velocity[name] if nesterov else velocity[name]
            theta[name] = theta[name] - 0.1 * direction
        optimizer.step()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.detach().double(), theta[name], rtol=1e-5, atol=1e-6)


def test_resuming_from_a_checkpoint_is_bit_identical(tmp_path: Path) -> None:
    assert_resume_is_exact(tmp_path, "optim=sgd")
