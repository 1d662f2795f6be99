"""Terms that parts of a model add to the training loss, and quantities that they report."""

from __future__ import annotations

import torch
from torch import Tensor


class LossTerms:
    """Collects the terms and metrics of one forward pass.

    Training passes one to the model, which gives it to the parts that want ``terms``. Evaluation
    and generation pass None: the loss that studies compare is that of the language model alone.

    Attributes:
        losses: scalar by name, which training adds to the loss; already multiplied by its
            coefficient.
        metrics: scalar by name, which is recorded only.
    """

    def __init__(self) -> None:
        self.losses: dict[str, Tensor] = {}
        self._metrics: dict[str, list[Tensor]] = {}

    def add_loss(self, name: str, value: Tensor) -> None:
        """Add a scalar to the training loss; those of one name, as of layers, are summed."""
        known = self.losses.get(name)
        self.losses[name] = value if known is None else known + value

    def add_metric(self, name: str, value: Tensor) -> None:
        """Report a scalar; of one name, as of several layers, the mean is recorded."""
        self._metrics.setdefault(name, []).append(value.detach())

    @property
    def metrics(self) -> dict[str, Tensor]:
        """The mean of each metric over the layers that reported it."""
        return {name: torch.stack(values).mean() for name, values in self._metrics.items()}
