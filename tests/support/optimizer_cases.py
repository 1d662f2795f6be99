"""A small model, reproducible gradients, and the test of exact resume for every optimizer."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from lmlab.build.factory import build_model, build_optimizer
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.transformer import Transformer
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.state import Progress, TrainState

# Those that update a model from one gradient per parameter.
TORCH_OPTIMIZERS = [
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam",
    "RMSprop", "Rprop", "SGD",
]  # fmt: skip
SMALL_MODEL = [
    "model.vocab_size=300", "model.context_length=8", "model.d_model=16", "model.num_layers=2",
    "model.num_heads=2", "model.d_ff=24",
]  # fmt: skip


def model_and_optimizer(*overrides: str) -> tuple[Transformer, torch.optim.Optimizer]:
    """Build the small model and its optimizer."""
    spec = resolve(compose([*SMALL_MODEL, *overrides]))
    model = build_model(spec)
    return model, build_optimizer(spec, model)


def set_gradients(model: nn.Module, step: int) -> None:
    """Give every parameter a random gradient, the same for every model of the same shapes."""
    generator = torch.Generator().manual_seed(step)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)


def assert_resume_is_exact(folder: Path, *overrides: str) -> None:
    """Train 6 steps at once, and 3 steps, a checkpoint and 3 steps: all weights must be equal."""

    def new_state() -> TrainState:
        return TrainState(*model_and_optimizer(*overrides), Progress())

    def train(state: TrainState, steps: range) -> None:
        for step in steps:
            set_gradients(state.model, step)
            for group in state.optimizer.param_groups:
                group["lr"] = group["initial_lr"] / (step + 1)
            state.optimizer.step()

    uninterrupted = new_state()
    train(uninterrupted, range(3))
    Checkpoints(folder).save(uninterrupted)
    train(uninterrupted, range(3, 6))
    resumed = new_state()
    assert Checkpoints(folder).restore_latest(resumed)
    train(resumed, range(3, 6))
    pairs = zip(uninterrupted.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(expected, weight) for expected, weight in pairs)
