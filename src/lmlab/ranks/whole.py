"""The whole of what the ranks of a run divide among them."""

from __future__ import annotations

import torch


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor itself, or put together where the ranks divide it; all of them call it then."""
    # By its method: importing the class takes longer than a small run's first step.
    put_together = getattr(tensor, "full_tensor", None)
    if put_together is None:
        return tensor
    found: torch.Tensor = put_together()
    return found
