"""Copies of one model on several ranks: they begin equal, and every update leaves them equal."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lmlab.optim.layout import allocate, layout_of, tensors_of
from lmlab.ranks.ranks import Ranks
from lmlab.train_state import DividedOptimizer, TrainState

Gradient = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class MeanGradients:
    """The gradients of a whole batch, of which each rank is given its part.

    The parts are equally large, so that the mean of their mean losses is that of the batch. The
    ranks exchange once an update, after the last micro-batch; where they divide the gradients, a
    backward pass leaves means itself.

    Args:
        gradients: leaves the gradients of a part's mean loss in the parameters; returns the loss.
        model: whose parameters they are.
        ranks: that share the batch.
    """

    def __init__(self, gradients: Gradient, model: nn.Module, ranks: Ranks) -> None:
        self.gradients = gradients
        self.parameters = list(model.parameters())
        self.ranks = ranks

    def __call__(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        """Leave the batch's gradients in the parameters; return its loss, equal on all ranks."""
        loss = self.gradients(inputs_BT, targets_BT).detach().clone()
        held = []
        if not self.ranks.divides_model:
            held = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        self.ranks.average([loss, *held])
        return loss


def spread_state(state: TrainState, ranks: Ranks) -> None:
    """Give every rank the weights and progress of rank 0, and its optimizer's state or a part."""
    state.progress = ranks.from_writer(lambda: state.progress)
    weights = {tensor.data_ptr(): tensor for tensor in state.model.state_dict().values()}
    ranks.copy_from(0, list(weights.values()))
    if isinstance(state.optimizer, DividedOptimizer):
        state.optimizer.spread()
    else:
        _spread_optimizer(state, ranks)


def _spread_optimizer(state: TrainState, ranks: Ranks) -> None:
    own = state.optimizer.state_dict()
    layout = ranks.from_writer(lambda: layout_of(own))
    device = next(state.model.parameters()).device
    received = own if ranks.is_writer else allocate(layout, device)
    ranks.copy_from(0, list(tensors_of(received)))
    if not ranks.is_writer:
        state.optimizer.load_state_dict(received)
