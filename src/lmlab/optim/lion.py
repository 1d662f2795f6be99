"""Lion, of the package ``pytorch_optimizer``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from lmlab.optim.optional_package import optional_package
from lmlab.optim.update_unit import ELEMENT, updates_by


@updates_by(ELEMENT)
def lion(
    params: Iterable[dict[str, Any]],
    *,
    lr: float,
    betas: Sequence[float],
    weight_decay: float,
    foreach: bool | None,
) -> torch.optim.Optimizer:
    """Sign of an interpolated momentum, with decoupled weight decay: Chen et al. 2023, algorithm 2.

    The authors use a learning rate 3 to 10 times smaller than AdamW's, and a weight decay larger by
    the same factor (section 5).

    Args:
        params: parameter groups; ``weight_decay`` in a group takes precedence.
        lr: peak learning rate.
        betas: share of the momentum in the update, and decay rate of the momentum.
        weight_decay: decoupled weight decay, multiplied by the learning rate.
        foreach: update many tensors per operation; None to choose by device.

    Raises:
        ConfigError: the package pytorch_optimizer is not installed.
    """
    with optional_package("lion", "pytorch_optimizer"):
        from pytorch_optimizer import Lion
    first, second = betas
    optimizer: torch.optim.Optimizer = Lion(
        params, lr=lr, betas=(first, second), weight_decay=weight_decay, weight_decouple=True,
        foreach=foreach,
    )  # fmt: skip
    return optimizer
