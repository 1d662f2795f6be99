"""The loss of a model as a function of inputs and targets.

Training, stacked training and the trial steps before a run take their loss from here. An objective
is everything that ``torch.compile`` compiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lmlab.nn.loss import cross_entropy
from lmlab.nn.loss_terms import LossTerms
from lmlab.nn.transformer import Transformer

# The loss of the language model in recorded losses; other names begin with "terms/".
LOSS = "loss"


class Losses(NamedTuple):
    """What a training pass computes.

    Attributes:
        language: loss of the language model, in nats per token.
        terms: further terms of the training loss by name, such as a load-balancing loss.
        metrics: quantities that are recorded only.
    """

    language: Tensor
    terms: dict[str, Tensor]
    metrics: dict[str, Tensor]

    def total(self) -> Tensor:
        """Return the training loss: that of the language model plus all terms."""
        return sum(self.terms.values(), start=self.language)

    def recorded(self) -> dict[str, Tensor]:
        """Return all of them by the names that rows of metrics give them."""
        further = {f"terms/{name}": one for name, one in (self.terms | self.metrics).items()}
        return {LOSS: self.language, **further}


def add_losses(
    totals: dict[str, Tensor], losses: Mapping[str, Tensor], share: float | None = None
) -> None:
    """Add losses to totals in place; a name that is new starts with its first value.

    Args:
        totals: by name.
        losses: by name, as :meth:`Losses.recorded` returns them.
        share: multiplies each loss; None for 1.
    """
    for name, one in losses.items():
        part = one.detach() if share is None else one.detach() * share
        totals[name] = totals[name] + part if name in totals else part


# Maps inputs and targets, each (B, T) int64, to the losses of a training pass.
Objective = Callable[[Tensor, Tensor], Losses]


def training_objective(model: Transformer) -> Objective:
    """Return the objective of training: the mean loss of the model's head, and the terms of parts.

    Whether the head computes all logits at once depends on the kernels that it uses; see
    :class:`lmlab.nn.kernel_set.KernelSet`.
    """

    def objective(inputs_BT: Tensor, targets_BT: Tensor) -> Losses:
        terms = LossTerms()
        hidden = model.hidden(inputs_BT, terms=terms)
        language = model.head.loss(hidden, targets_BT, terms)
        return Losses(language, terms.losses, terms.metrics)

    return objective


def token_losses(
    forward: Callable[[Tensor], Tensor],
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of the language model at each token, (B * T,), from all logits at once.

    Args:
        forward: maps token ids (B, T) to logits (B, T, V).
    """

    def losses(inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        return cross_entropy(forward(inputs_BT), targets_BT, "none")

    return losses


def compile_objective(objective: Objective, device: torch.device) -> Objective:
    """Compile an objective into one function.

    On MPS, where Inductor cannot compile every model, the graph runs in torch's own operations.
    """
    backend = "aot_eager" if device.type == "mps" else "inductor"
    compiled: Objective = torch.compile(objective, backend=backend, dynamic=False)
    return compiled
