"""The whole of what the ranks of a run divide among them."""

from __future__ import annotations

import torch


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor itself, or put together where the ranks divide it; all of them call it then."""
    # By its method: importing the class takes longer than a small run's first step.
    unsharded = getattr(tensor, "full_tensor", None)
    if unsharded is None:
        return tensor
    found: torch.Tensor = unsharded()
    return found
