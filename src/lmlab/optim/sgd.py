"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def sgd(
    params: Iterable[dict[str, Any]],
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
) -> torch.optim.SGD:
    """Gradient descent with momentum: Sutskever et al. 2013, equations 1 to 4.

    Args:
        params: groups; a group's own ``weight_decay`` stands.
        lr: peak learning rate.
        momentum: share of the last update that is kept.
        weight_decay: added to the gradient as an L2 penalty (not decoupled), as in torch.
        nesterov: look ahead along the momentum.
    """
    return torch.optim.SGD(
        params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov
    )
