"""AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from lmlab.optim.update_unit import ELEMENT, updates_by


@updates_by(ELEMENT)
def adamw(
    params: Iterable[dict[str, Any]],
    *,
    lr: float,
    betas: Sequence[float],
    eps: float,
    weight_decay: float,
) -> torch.optim.AdamW:
    """Adam with decoupled weight decay: Loshchilov and Hutter 2019, algorithm 2.

    Uses torch's fused kernel, which passes over each parameter once.

    Args:
        params: parameter groups; ``weight_decay`` in a group takes precedence.
        lr: peak learning rate.
        betas: decay rates of the first and second moment.
        eps: added to the square root of the second moment.
        weight_decay: decoupled weight decay, multiplied by the learning rate as in torch.
    """
    first, second = betas
    return torch.optim.AdamW(
        params, lr=lr, betas=(first, second), eps=eps, weight_decay=weight_decay, fused=True
    )
