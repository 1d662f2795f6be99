"""Schedule-free AdamW, of the package ``schedulefree`` by its authors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from lmlab.errors import ConfigError
from lmlab.optim.optional_package import optional_package
from lmlab.optim.update_unit import ELEMENT, updates_by


@updates_by(ELEMENT)
def schedule_free_adamw(
    params: Iterable[dict[str, Any]],
    *,
    lr: float,
    betas: Sequence[float],
    eps: float,
    weight_decay: float,
    warmup_steps: int,
    r: float,
    weight_lr_power: float,
    foreach: bool | None,
) -> torch.optim.Optimizer:
    """AdamW with an average of its iterates in place of a decay: Defazio et al. 2024, algorithm 1.

    Gradients are taken at y, between the average x and the iterate z; x is what is evaluated, kept
    as the best weights and exported. It is meant for ``schedule=constant``, whose warm-up replaces
    ``warmup_steps``.

    Args:
        params: parameter groups; ``weight_decay`` in a group takes precedence.
        lr: peak learning rate.
        betas: weight of x in y, and decay rate of the second moment.
        eps: added to the square root of the second moment.
        weight_decay: decoupled weight decay at y, multiplied by the learning rate.
        warmup_steps: warm-up of the optimizer itself, on top of that of the schedule.
        r: the average weights step t by t to the power of r.
        weight_lr_power: the average weights a step by the largest learning rate so far to this
            power.
        foreach: update many tensors per operation; None for False.

    Raises:
        ConfigError: the package schedulefree is not installed, or the first of ``betas`` is 0.
    """
    with optional_package("schedule_free_adamw", "schedulefree"):
        from schedulefree import AdamWScheduleFree
    first, second = betas
    if first == 0:  # x could not be computed from y, which would be z
        raise ConfigError(
            f"optim.betas={list(betas)}: expected a first one above 0, the weight of the average",
            "set optim.betas=[0.95,0.99]",
        )
    optimizer: torch.optim.Optimizer = AdamWScheduleFree(
        params, lr=lr, betas=(first, second), eps=eps, weight_decay=weight_decay,
        warmup_steps=warmup_steps, r=r, weight_lr_power=weight_lr_power, foreach=foreach,
    )  # fmt: skip
    return optimizer
