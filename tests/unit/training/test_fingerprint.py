from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from lmlab.training.fingerprint import fingerprint
from lmlab.training.state import Progress, TrainState


def make_state() -> TrainState:
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]]))[0].square().sum().backward()
    optimizer.step()
    return TrainState(model, optimizer, Progress())


def reset_moments(state: TrainState) -> None:
    next(iter(state.optimizer.state.values()))["exp_avg"].zero_()


def set_rate(state: TrainState) -> None:
    state.optimizer.param_groups[0]["lr"] = 0.5


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda state: state.model[0].weight.data[0, 0].add_(1e-6), "the weights"),
        (lambda state: state.model[0].weight.data.copy_(state.model[0].weight.flip(0)),
         "the weights"),
        (lambda state: state.model[0].weight.grad.zero_(), "the gradients"),
        (lambda state: state.model[1].num_batches_tracked.add_(1), "the buffers"),
        (lambda state: state.model[1].requires_grad_(False), "the modules"),
        (lambda state: state.model.__setitem__(1, nn.BatchNorm1d(5)), "the modules"),
        (reset_moments, "the optimizer"),
        (set_rate, "the optimizer"),
    ],
)  # fmt: skip
def test_each_part_notices_its_changes(change: Callable[[TrainState], object], part: str) -> None:
    state = make_state()
    before = fingerprint(state)
    assert fingerprint(state) == before
    change(state)
    after = fingerprint(state)
    assert any(name.startswith(part) and after[name] != before[name] for name in before)


def test_sparse_and_empty_buffers_have_checksums() -> None:
    state = make_state()
    state.model.register_buffer("sparse", torch.eye(3).to_sparse())
    state.model.register_buffer("empty", torch.zeros(0))
    before = fingerprint(state)["the buffers"]
    state.model.register_buffer("sparse", 2 * torch.eye(3).to_sparse())
    assert fingerprint(state)["the buffers"] != before
