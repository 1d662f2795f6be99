"""Residual dropout: Vaswani et al. 2017, section 5.4."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class OutputDropout:
    """A forward hook that drops values of a module's output while the module trains.

    A hook works for any sublayer, and leaves the names of its parameters as they are.

    Args:
        probability: of each value to become 0; the others are divided by 1 - ``probability``.
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        """Return ``output``, of any shape, with values dropped; unchanged in evaluation mode."""
        return F.dropout(output, self.probability, module.training)
