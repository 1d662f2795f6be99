"""SOAP, of the package ``pytorch_optimizer``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from lmlab.optim.optional_package import optional_package
from lmlab.optim.update_unit import TENSOR, updates_by


@updates_by(TENSOR)
def soap(
    params: Iterable[dict[str, Any]],
    *,
    lr: float,
    betas: Sequence[float],
    shampoo_beta: float | None,
    eps: float,
    weight_decay: float,
    precondition_frequency: int,
    max_precondition_dim: int,
    precondition_1d: bool,
    correct_bias: bool,
    normalize_gradient: bool,
) -> torch.optim.Optimizer:
    """Adam in the eigenbasis of Shampoo's preconditioner: Vyas et al. 2024, algorithm 3.

    The first step only starts the preconditioner and updates no weight, as in the authors' code.

    Args:
        params: parameter groups; ``weight_decay`` in a group takes precedence.
        lr: peak learning rate.
        betas: decay rates of the first and second moment.
        shampoo_beta: decay rate of the preconditioner; None for that of the second moment.
        eps: added to the square root of the second moment.
        weight_decay: decoupled weight decay, multiplied by the learning rate.
        precondition_frequency: updates between two eigenbases.
        max_precondition_dim: the largest side of a matrix that gets an eigenbasis, whose memory and
            time grow with its square and cube. Larger sides, such as that of the vocabulary, do
            without.
        precondition_1d: give vectors an eigenbasis, too.
        correct_bias: correct the moments for their start at zero.
        normalize_gradient: scale each update to a root mean square of 1.

    Raises:
        ConfigError: the package pytorch_optimizer is not installed.
    """
    with optional_package("soap", "pytorch_optimizer"):
        from pytorch_optimizer import SOAP
    first, second = betas
    optimizer: torch.optim.Optimizer = SOAP(
        params, lr=lr, betas=(first, second), shampoo_beta=shampoo_beta, eps=eps,
        weight_decay=weight_decay, precondition_frequency=precondition_frequency,
        max_precondition_dim=max_precondition_dim, precondition_1d=precondition_1d,
        correct_bias=correct_bias, normalize_gradient=normalize_gradient,
    )  # fmt: skip
    return optimizer
