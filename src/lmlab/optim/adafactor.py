"""Adafactor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from lmlab.optim.update_unit import TENSOR, updates_by


@updates_by(TENSOR)
def adafactor(
    params: Iterable[dict[str, Any]],
    *,
    lr: float,
    beta2_decay: float,
    eps: Sequence[float | None],
    d: float,
    weight_decay: float,
    foreach: bool | None,
) -> torch.optim.Adafactor:
    """Adam without a first moment, its second moment factored: Shazeer and Stern 2018, algorithm 4.

    The step is relative to the size of a tensor: its root mean square times the smaller of lr and
    1 / sqrt(t). The paper has 0.01 in place of lr. Torch adds a decoupled weight decay, and applies
    the first epsilon to the factored second moment instead of the squared gradients.

    Args:
        params: parameter groups; ``weight_decay`` in a group takes precedence.
        lr: peak of the largest relative step.
        beta2_decay: the second moment decays at the rate 1 - t to this power.
        eps: the least root of the second moment, None for the precision of the weights; and the
            least root mean square of a tensor, to which the step is relative.
        d: the largest root mean square of an update before it is scaled.
        weight_decay: decoupled weight decay, multiplied by the learning rate.
        foreach: update many tensors per operation; None for False.
    """
    first, second = eps
    assert second is not None
    return torch.optim.Adafactor(
        params, lr=lr, beta2_decay=beta2_decay, eps=(first, second), d=d,
        weight_decay=weight_decay, foreach=foreach,
    )  # fmt: skip
