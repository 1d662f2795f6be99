"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from lmlab.optim.update_unit import ELEMENT, updates_by


@updates_by(ELEMENT)
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
        params: parameter groups; ``weight_decay`` in a group takes precedence.
        lr: peak learning rate.
        momentum: share of the previous velocity in the new one.
        weight_decay: L2 penalty added to the gradient (not decoupled), as in torch.
        nesterov: use Nesterov momentum.
    """
    return torch.optim.SGD(
        params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov
    )
