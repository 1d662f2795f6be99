"""What the training loop expects of an optimizer."""

from __future__ import annotations

import inspect

import torch

from lmlab.errors import ConfigError

_OTHER = "choose another optimizer"


def check_optimizer(optimizer: object, target: str) -> None:
    """Check that the loop can train with an optimizer.

    Args:
        optimizer: what the target returned.
        target: its dotted path, for messages.

    Raises:
        ConfigError: it is no optimizer, needs a closure, or a group has no learning rate.
    """
    key = f"optim._target_={target}"
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigError(
            f"{key}: expected a torch.optim.Optimizer, found a {type(optimizer).__qualname__}",
            "return an instance of a subclass of torch.optim.Optimizer",
        )
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ConfigError(
            f"{key}: expected an optimizer whose step() needs no closure; the gradients of an "
            "update are computed once",
            _OTHER,
        )
    for group in optimizer.param_groups:
        rate = group.get("lr")
        if isinstance(rate, bool) or not isinstance(rate, int | float | torch.Tensor):
            found = f"lr={rate!r}" if "lr" in group else "none"
            raise ConfigError(
                f"{key}: expected a number as the lr of each parameter group, which the schedule "
                f"scales; found {found}",
                f"set optim.lr, or {_OTHER}",
            )
