"""AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch


def adamw(
    params: Iterable[dict[str, Any]],
    *,
    lr: float,
    betas: Sequence[float],
    eps: float,
    weight_decay: float,
) -> torch.optim.AdamW:
    """Adam with decoupled weight decay: Loshchilov and Hutter 2019, algorithm 2.

    Torch's fused kernel: one pass over each parameter.

    Args:
        params: groups; a group's own ``weight_decay`` stands.
        lr: peak learning rate.
        betas: decay rates of the first and second moment.
        eps: added to the root of the second moment.
        weight_decay: multiplied by the learning rate, as in torch.
    """
    first, second = betas
    return torch.optim.AdamW(
        params, lr=lr, betas=(first, second), eps=eps, weight_decay=weight_decay, fused=True
    )
