"""Full tensors of parameters that ranks shard."""

from __future__ import annotations

import torch


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Gather a sharded tensor, on all ranks at once; return any other tensor as it is."""
    # By its method: importing DTensor takes longer than a small run's first step.
    gather = getattr(tensor, "full_tensor", None)
    if gather is None:
        return tensor
    gathered: torch.Tensor = gather()
    return gathered
