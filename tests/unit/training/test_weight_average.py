"""Averages of the weights against a loop in float64."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from small_trainer import Batches, make_state, make_trainer, measure, parameters, same
from torch import nn

from lmlab.runtime.signals import SignalHandler
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.evaluator import ValidationResult
from lmlab.training.state import TrainState
from lmlab.training.weight_average import WeightAverage


@pytest.mark.parametrize("stopped_at", [None, 5])
def test_the_average_follows_the_weights_and_is_what_is_evaluated(
    tmp_path: Path, stopped_at: int | None
) -> None:
    plain, seen, expected = make_state(), [], []

    def with_average(state: TrainState) -> TrainState:
        state.average = WeightAverage(state.model, 0.75)
        return state

    def keep(model: nn.Module) -> ValidationResult:
        seen.append(parameters(state))
        return measure(model)

    reference = [weight.double() for weight in parameters(plain)]

    def follow(row: dict[str, Any]) -> None:
        if row["kind"] != "train":
            return
        for average, weight in zip(reference, parameters(plain), strict=True):
            average.mul_(0.75).add_(weight, alpha=0.25)
        if row["step"] % 4 == 0:
            expected.append([average.clone() for average in reference])

    make_trainer(tmp_path / "plain", plain, [], log_every=1, record=follow).train()
    state, stop = with_average(make_state()), SignalHandler()
    if stopped_at is not None:

        class StopsThere(Batches):
            def batch(self, step: int):
                if step == stopped_at - 1:
                    stop.signal_number = signal.SIGTERM
                return super().batch(step)

        make_trainer(
            tmp_path / "ema", state, [], evaluate=keep, batches=StopsThere(), stop=stop
        ).train()
        state = with_average(make_state(seed=9))
        Checkpoints(tmp_path / "ema").restore_latest(state)
    make_trainer(tmp_path / "ema", state, [], evaluate=keep).train()
    assert same(parameters(state), parameters(plain))
    assert len(seen) == 4 and len(expected) == 3
    for found, wanted in zip(seen[1:], expected, strict=True):
        for ours, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-6)
