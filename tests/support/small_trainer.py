"""A trainer of a model of two layers, any of whose parts a test may replace."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lmlab.nn.loss import cross_entropy
from lmlab.runtime.random_streams import RandomStreams
from lmlab.runtime.signals import SignalHandler
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.evaluator import ValidationResult
from lmlab.training.gradient_accumulation import GradientAccumulator
from lmlab.training.objective import Losses, Objective
from lmlab.training.state import Progress, TrainState
from lmlab.training.trainer import LoopSettings, Trainer, weight_norm

VOCABULARY, WIDTH = 7, 5
SETTINGS = LoopSettings(
    steps=12, grad_clip_norm=0.5, log_every=5, validate_every=4, save_every=3,
    divergence_margin=3.0, flops_per_token=100, peak_flops=None,
)  # fmt: skip


class Batches:
    """Four random sequences a step, as a pure function of the step."""

    def batch(self, step: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        window = np.random.default_rng(step).integers(0, VOCABULARY, (4, 9))
        return window[:, :-1], window[:, 1:]


def make_state(seed: int = 0) -> TrainState:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    optimizer.param_groups[0]["initial_lr"] = 0.05
    return TrainState(model, optimizer, Progress())


def parameters(state: TrainState) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in state.model.parameters()]


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def objective_of(forward: Callable[[torch.Tensor], torch.Tensor]) -> Objective:
    """The objective of a model that is any function from tokens to logits."""
    return lambda inputs, targets: Losses(cross_entropy(forward(inputs), targets), {}, {})


def schedule(step: int) -> float:
    return 1 / (step + 1)


def measure(model: nn.Module) -> ValidationResult:
    loss = weight_norm(model)  # any number that follows from the weights
    return ValidationResult(loss, math.exp(loss), loss, 1)


def make_trainer(folder: Path, state: TrainState, rows: list[dict[str, Any]], **changes: Any):
    parts: dict[str, Any] = {
        "state": state,
        "gradients": GradientAccumulator(objective_of(state.model), micro_batch_size=4),
        "batches": Batches(),
        "schedule": schedule,
        "streams": RandomStreams(0, torch.device("cpu")),
        "evaluate": measure,
        "checkpoints": Checkpoints(folder, keep_last=100),
        "record": rows.append,
        "settings": SETTINGS,
        "device": torch.device("cpu"),
        "stop": SignalHandler(),
    }
    settings = {key: changes.pop(key) for key in list(changes) if hasattr(SETTINGS, key)}
    parts |= {"settings": dataclasses.replace(SETTINGS, **settings)}
    return Trainer(**parts | changes)
