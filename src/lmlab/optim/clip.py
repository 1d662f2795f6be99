"""Gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lmlab.distributed.full_tensor import full_tensor


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Scale all gradients by one factor so that their common L2 norm is at most ``max_norm``.

    Pascanu et al. 2013, algorithm 1. Does not synchronise host and device.

    Args:
        parameters: parameters; those without a gradient are skipped.
        max_norm: the largest norm, or None to compute the norm without scaling.

    Returns:
        The norm before scaling, as a scalar on the device of the gradients.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    norm = full_tensor(torch.linalg.vector_norm(torch.stack(list(torch._foreach_norm(gradients)))))
    if max_norm is not None:
        # The small constant avoids a division by zero, as in torch.nn.utils.clip_grad_norm_.
        torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm
