"""Optimizers that share a model: each updates its part, saves itself and changes its mode."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_optimizer
import torch
from optimizer_cases import (
    assert_resume_is_exact,
    model_and_optimizer,
    set_gradients,
)

from lmlab.errors import ConfigError
from lmlab.optim.joint import JointOptimizer
from lmlab.optim.modes import evaluation_mode


def groups(*entries: str) -> str:
    return f"optim.groups=[{', '.join('{' + entry + '}' for entry in entries)}]"


def test_an_optimizer_of_ones_own_updates_its_group_and_that_of_optim_the_rest() -> None:
    chosen = ["optim.lr=0.01", groups("kind: embedding, optimizer: lion, lr: 0.003")]
    model, optimizer = model_and_optimizer(*chosen)
    reference, _ = model_and_optimizer(*chosen)
    assert isinstance(optimizer, JointOptimizer)
    named = dict(reference.named_parameters())
    embedding = named.pop("embedding.weight")
    lion = pytorch_optimizer.Lion([embedding], lr=0.003, betas=(0.9, 0.99), weight_decay=0.6)
    adamw = torch.optim.AdamW(
        [
            {"params": [one for one in named.values() if one.ndim > 1], "weight_decay": 0.1},
            {"params": [one for one in named.values() if one.ndim == 1], "weight_decay": 0.0},
        ],
        lr=0.01, betas=(0.9, 0.95),
    )  # fmt: skip
    for step in range(4):
        for one, updates in ((model, [optimizer]), (reference, [lion, adamw])):
            set_gradients(one, step)
            for each in updates:
                each.step()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "chosen",
    [
        [groups("kind: matrices, lr_multiplier: 0.5, betas: [0.8, 0.9]")],
        ["optim=muon", groups("kind: embedding, optimizer: schedule_free_adamw")],
        ["optim=sgd", groups("kind: matrices, optimizer: soap", "kind: head, optimizer: lion")],
    ],
    ids=["settings", "modes", "three"],
)
def test_groups_resume_bit_for_bit(tmp_path: Path, chosen: list[str]) -> None:
    assert_resume_is_exact(tmp_path, *chosen)


def test_only_the_parts_that_have_modes_change_theirs() -> None:
    model, optimizer = model_and_optimizer(
        groups("kind: head, optimizer: schedule_free_adamw, lr: 0.1")
    )
    for step in range(3):
        set_gradients(model, step)
        optimizer.step()
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    with evaluation_mode(optimizer, model):
        changed = [n for n, one in model.named_parameters() if not torch.equal(one, before[n])]
    assert changed == ["head.weight"]
    assert all(torch.equal(one, before[name]) for name, one in model.named_parameters())
    with pytest.raises(ConfigError, match=r"training\.ema=0\.9"):
        model_and_optimizer(
            "training.ema=0.9", groups("kind: head, optimizer: schedule_free_adamw")
        )
