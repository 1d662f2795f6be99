"""AdamW compared with the published algorithm in float64."""

from __future__ import annotations

from pathlib import Path

import torch
from optimizer_cases import assert_resume_is_exact, model_and_optimizer, set_gradients


def test_adamw_equals_the_published_algorithm() -> None:
    model, optimizer = model_and_optimizer("optim.lr=0.01", "optim.weight_decay=0.1")
    theta = {name: weight.detach().double() for name, weight in model.named_parameters()}
    m = {name: torch.zeros_like(value) for name, value in theta.items()}
    v = {name: torch.zeros_like(value) for name, value in theta.items()}
    for t in range(1, 6):
        set_gradients(model, t)
        for name, weight in model.named_parameters():
            assert weight.grad is not None
            g = weight.grad.double()
            decay = 0.1 if weight.ndim >= 2 else 0.0
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.95 * v[name] + 0.05 * g * g
            step = m[name] / (1 - 0.9**t) / ((v[name] / (1 - 0.95**t)).sqrt() + 1e-8)
            theta[name] = theta[name] - 0.01 * (step + decay * theta[name])
        optimizer.step()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.detach().double(), theta[name], rtol=1e-5, atol=1e-6)


def test_resuming_from_a_checkpoint_is_bit_identical(tmp_path: Path) -> None:
    assert_resume_is_exact(tmp_path, "optim=adamw")
