"""A small model with tied embeddings, its optimizer, and steps that change all of its state."""

from __future__ import annotations

import torch
from torch import nn

from lmlab.training.state import Progress, TrainState


class TiedModel(nn.Module):
    """Two layers that share a matrix, as a model with tied embeddings does."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.middle = nn.Linear(4, 4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.middle(self.embedding(tokens)))
        return logits


def make_state(seed: int) -> TrainState:
    torch.manual_seed(seed)
    model = TiedModel()
    matrices = [model.embedding.weight, model.middle.weight]
    groups = [
        {"params": matrices, "weight_decay": 0.1, "initial_lr": 1e-2, "name": "matrices"},
        {"params": [model.middle.bias], "weight_decay": 0.0, "initial_lr": 1e-2, "name": "rest"},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))
    return TrainState(model, optimizer, Progress())


def take_steps(state: TrainState, count: int) -> None:
    for _ in range(count):
        state.optimizer.zero_grad()
        tokens = torch.tensor([[state.progress.step % 6, 1, 2]])
        state.model(tokens).square().sum().backward()
        state.optimizer.step()
        state.progress.step += 1
        state.progress.tokens += 3


def copy_parameters(state: TrainState) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in state.model.parameters()]


def all_equal(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
