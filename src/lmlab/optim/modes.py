"""The modes of optimizers that evaluate other weights than those at which they take gradients.

A schedule-free optimizer (Defazio et al. 2024) takes gradients at one sequence of points and
returns another, an average: its ``eval()`` puts the latter into the model, its ``train()`` the
former. Other optimizers have neither method, and evaluate the weights that they train.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from lmlab.distributed.sharded_optimizer import ShardedOptimizer

_METHODS = ("train", "eval")


def has_modes(optimizer: torch.optim.Optimizer | ShardedOptimizer) -> bool:
    """Whether an optimizer has ``train()`` and ``eval()``, and needs them."""
    inner: Any = optimizer.optimizer if isinstance(optimizer, ShardedOptimizer) else optimizer
    has_both = all(callable(getattr(inner, name, None)) for name in _METHODS)
    return has_both and bool(getattr(inner, "has_modes", True))


def set_training_mode(optimizer: torch.optim.Optimizer) -> None:
    """Put a new optimizer that has modes in training mode; only evaluations leave it."""
    if has_modes(optimizer):
        modal: Any = optimizer
        modal.train()


@contextlib.contextmanager
def evaluation_mode(
    optimizer: torch.optim.Optimizer | ShardedOptimizer, model: nn.Module
) -> Iterator[None]:
    """Put the weights that the optimizer evaluates into the model inside.

    Afterwards the optimizer is in training mode and the weights are those of before, bit for bit:
    a change of mode and back rounds them, and how often a run saves must not change its result.
    Ranks enter and leave together. Without modes, nothing happens.

    Args:
        optimizer: in training mode.
        model: whose parameters it updates.
    """
    if not has_modes(optimizer):
        yield
        return
    modal: Any = optimizer
    weights = [parameter.detach() for parameter in model.parameters()]
    kept = [weight.clone() for weight in weights]
    modal.eval()
    try:
        yield
    finally:
        modal.train()
        for weight, value in zip(weights, kept, strict=True):
            weight.copy_(value)
