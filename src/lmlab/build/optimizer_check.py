"""What the training loop expects of an optimizer."""

from __future__ import annotations

import inspect

import torch

from lmlab.errors import ConfigError
from lmlab.optim.modes import has_modes

_OTHER = "choose another optimizer"


def check_optimizer(optimizer: object, target: str, ema: float | None = None) -> None:
    """Check that the loop can train with an optimizer.

    Args:
        optimizer: what the target returned.
        target: its dotted path, for messages.
        ema: ``training.ema`` of the run.

    Raises:
        ConfigError: it is no optimizer, needs a closure, a group has no learning rate, or both the
            optimizer and the run choose the weights that are evaluated.
    """
    key = f"optim._target_={target}"
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigError(
            f"{key}: expected a torch.optim.Optimizer, found a {type(optimizer).__qualname__}",
            "return an instance of a subclass of torch.optim.Optimizer",
        )
    if ema is not None and has_modes(optimizer):
        raise ConfigError(
            f"training.ema={ema:g}: expected null with optim._target_={target}, which evaluates an "
            "average of its own",
            "set training.ema=null, or choose another optimizer",
        )
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    is_required = closure is not None and closure.default is inspect.Parameter.empty
    if is_required or getattr(optimizer, "needs_closure", False):
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
