"""AdEMAMix, of the package ``pytorch_optimizer``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from lmlab.optim.optional_package import optional_package
from lmlab.optim.update_unit import ELEMENT, updates_by


@updates_by(ELEMENT)
def ademamix(
    params: Iterable[dict[str, Any]],
    *,
    lr: float,
    betas: Sequence[float],
    slow_beta: float,
    alpha: float,
    t_alpha_beta3: float | None,
    eps: float,
    weight_decay: float,
    foreach: bool | None,
) -> torch.optim.Optimizer:
    """AdamW with a second, slower average of the gradients: Pagliardini et al. 2024, algorithm 1.

    Args:
        params: parameter groups; ``weight_decay`` in a group takes precedence.
        lr: peak learning rate.
        betas: decay rates of the fast average and of the second moment.
        slow_beta: decay rate of the slow average.
        alpha: weight of the slow average in the update.
        t_alpha_beta3: updates over which alpha and slow_beta warm up; the authors use the
            length of the run. None for no warm-up.
        eps: added to the square root of the second moment.
        weight_decay: decoupled weight decay, multiplied by the learning rate.
        foreach: update many tensors per operation; None to choose by device.

    Raises:
        ConfigError: the package pytorch_optimizer is not installed.
    """
    with optional_package("ademamix", "pytorch_optimizer"):
        from pytorch_optimizer import AdEMAMix
    fast, second = betas
    optimizer: torch.optim.Optimizer = AdEMAMix(
        params, lr=lr, betas=(fast, second, slow_beta), alpha=alpha, t_alpha_beta3=t_alpha_beta3,
        eps=eps, weight_decay=weight_decay, weight_decouple=True, foreach=foreach,
    )  # fmt: skip
    return optimizer
