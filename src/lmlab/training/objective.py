"""The training loss as a function of inputs and targets, the whole of what is compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from lmlab.nn.chunked_loss import chunked_cross_entropy
from lmlab.nn.loss import cross_entropy
from lmlab.nn.loss_counts import chunk_rows
from lmlab.nn.transformer import Transformer

Objective = Callable[[Tensor, Tensor], Tensor]
# Of what the head is given (tokens, D), its weight (V, D) and the targets (tokens).
HeadLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def of_logits(forward: Callable[[Tensor], Tensor]) -> Objective:
    """The mean loss of all the logits at once."""

    def objective(inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        return cross_entropy(forward(inputs_BT), targets_BT)

    return objective


def in_chunks(model: Transformer, loss: HeadLoss | None = None) -> Objective:
    """The mean loss, the logits of a chunk of tokens at a time.

    Args:
        model: whose loss it is.
        loss: computes it from what the head is given; torch's operations do unless given.
    """
    rows = chunk_rows(model.head.out_features, model.head.weight.device.type)
    head_loss = loss or functools.partial(chunked_cross_entropy, rows=rows)

    def objective(inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        hidden = model.hidden(inputs_BT).flatten(0, 1)
        return head_loss(hidden, model.head.weight, targets_BT.flatten())

    return objective


def compiled(objective: Objective, device: torch.device) -> Objective:
    """The objective as one compiled function.

    On MPS, where Inductor does not get through every model, its graph is only made once, and runs
    in torch's own operations.
    """
    backend = "aot_eager" if device.type == "mps" else "inductor"
    found: Objective = torch.compile(objective, backend=backend, dynamic=False)
    return found
