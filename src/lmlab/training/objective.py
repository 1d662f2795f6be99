"""The language-model loss as a function of inputs and targets.

Training, stacked training and evaluation all take their loss from here. An objective is everything
that ``torch.compile`` compiles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from lmlab.nn.chunked_loss import chunked_cross_entropy
from lmlab.nn.loss import cross_entropy
from lmlab.nn.loss_counts import chunk_rows
from lmlab.nn.transformer import Transformer

# Maps inputs and targets, each (B, T) int64, to the loss in nats per token.
Objective = Callable[[Tensor, Tensor], Tensor]
# Maps the head's input (tokens, D), its weight (V, D) and the targets (tokens,) to the mean loss.
HeadLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def full_logits_loss(
    forward: Callable[[Tensor], Tensor], reduction: Literal["mean", "none"] = "mean"
) -> Objective:
    """Return the loss computed from all logits at once.

    Args:
        forward: maps token ids (B, T) to logits (B, T, V).
        reduction: ``mean`` for a scalar; ``none`` for the loss of each token, (B * T,).
    """

    def objective(inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        return cross_entropy(forward(inputs_BT), targets_BT, reduction)

    return objective


def chunked_loss(model: Transformer, head_loss: HeadLoss | None = None) -> Objective:
    """Return the mean loss that computes the logits of one chunk of tokens at a time.

    Args:
        model: the network; its head is applied inside the loss.
        head_loss: computes the loss from the head's input; by default
            :func:`lmlab.nn.chunked_loss.chunked_cross_entropy`.
    """
    rows = chunk_rows(model.head.out_features, model.head.weight.device.type)
    head_loss = head_loss or functools.partial(chunked_cross_entropy, rows=rows)

    def objective(inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        hidden = model.hidden(inputs_BT).flatten(0, 1)
        return head_loss(hidden, model.head.weight, targets_BT.flatten())

    return objective


def compile_objective(objective: Objective, device: torch.device) -> Objective:
    """Compile an objective into one function.

    On MPS, where Inductor cannot compile every model, the graph runs in torch's own operations.
    """
    backend = "aot_eager" if device.type == "mps" else "inductor"
    compiled: Objective = torch.compile(objective, backend=backend, dynamic=False)
    return compiled
