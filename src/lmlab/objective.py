"""The training loss as a function of inputs and targets, the whole of what is compiled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lmlab.model import Transformer
from lmlab.nn.chunked_loss import chunked_cross_entropy
from lmlab.nn.loss import cross_entropy
from lmlab.nn.loss_counts import chunk_rows

Objective = Callable[[Tensor, Tensor], Tensor]


def of_logits(forward: Callable[[Tensor], Tensor]) -> Objective:
    """The mean loss of all the logits at once."""

    def objective(inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        return cross_entropy(forward(inputs_BT), targets_BT)

    return objective


def in_chunks(model: Transformer) -> Objective:
    """The mean loss, the logits of a chunk of tokens at a time."""
    rows = chunk_rows(model.head.out_features, model.head.weight.device.type)

    def objective(inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        hidden = model.hidden(inputs_BT).flatten(0, 1)
        return chunked_cross_entropy(hidden, model.head.weight, targets_BT.flatten(), rows)

    return objective


def compiled(objective: Objective, device: torch.device) -> Objective:
    """The objective as one compiled function.

    On MPS, where Inductor does not get through every model, its graph is only made once, and runs
    in torch's own operations.
    """
    backend = "aot_eager" if device.type == "mps" else "inductor"
    found: Objective = torch.compile(objective, backend=backend, dynamic=False)
    return found
