"""A factor of a module's output."""

from __future__ import annotations

from torch import Tensor, nn


class OutputFactor:
    """A forward hook that multiplies a module's output.

    A hook works for any sublayer, and leaves the names of its parameters as they are.

    Args:
        factor: multiplies each value.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        """Return ``output`` times the factor, of any shape."""
        return output * self.factor
