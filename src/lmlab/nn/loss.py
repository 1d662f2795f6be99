"""The training loss."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F


def cross_entropy(
    logits_BTV: Tensor, targets_BT: Tensor, reduction: Literal["mean", "none"] = "mean"
) -> Tensor:
    """Return the negative log-likelihood in nats, computed in float32.

    Args:
        logits_BTV: unnormalised log-probabilities of the next token, any floating dtype.
        targets_BT: int64 ids of the next token: ``targets[b, t]`` follows ``inputs[b, t]``.
        reduction: ``mean`` for the loss per token, ``none`` for the loss of each token, (B T).
    """
    return F.cross_entropy(
        logits_BTV.flatten(0, 1).float(), targets_BT.flatten(), reduction=reduction
    )
