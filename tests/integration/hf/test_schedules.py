"""Schedules agree with those of transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lmlab.optim.lr_schedule import inverse_sqrt, wsd

transformers = pytest.importorskip("transformers")


def factors(make: Callable[..., Any], **settings: Any) -> list[float]:
    """The factors of 120 steps of a scheduler of transformers."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    factor = make(optimizer, **settings).lr_lambdas[0]
    return [factor(step) for step in range(120)]


@pytest.mark.parametrize("shape", ["linear", "1-sqrt"])
def test_wsd(shape: str) -> None:
    theirs = factors(
        transformers.get_wsd_schedule, num_warmup_steps=10, num_stable_steps=70,
        num_decay_steps=20, decay_type=shape, min_lr_ratio=0.1,
    )  # fmt: skip
    ours = [
        wsd(step, total_steps=100, warmup_steps=10, decay_fraction=0.2, min_lr_ratio=0.1,
            decay_shape=shape)
        for step in range(120)
    ]  # fmt: skip
    assert ours[10:] == pytest.approx(theirs[10:], abs=1e-12)


def test_inverse_sqrt() -> None:
    theirs = factors(transformers.get_inverse_sqrt_schedule, num_warmup_steps=10)
    ours = [
        inverse_sqrt(step, total_steps=120, warmup_steps=10, decay_fraction=0.0)
        for step in range(119)
    ]
    assert ours == pytest.approx(theirs[1:], abs=1e-12)  # their first update has the rate 0
