"""Whether and where a run diverges depends on its losses alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lmlab.runtime.signals import SignalHandler
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.evaluator import ValidationResult
from lmlab.training.state import Progress, TrainState
from lmlab.training.trainer import LoopSettings, Trainer

CPU = torch.device("cpu")
STEPS = 25
FIRST = 4.0
MARGIN = 3.0


class NoBatches:
    """Batches of one token: the losses are given."""

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        token = torch.zeros(1, 1, dtype=torch.int64)
        return token, token


class NoStreams:
    """Nothing is drawn."""

    def begin(self, *_: Any, **__: Any) -> None:
        """Do nothing."""


def new_state() -> TrainState:
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["initial_lr"] = 0.1
    return TrainState(model, optimizer, Progress())


def train(
    folder: Path,
    losses: list[float],
    state: TrainState,
    *,
    log_every: int = 10,
    validate_every: int = 100,
    save_every: int = 100,
    patience: int | None = None,
    stop_at: int | None = None,
) -> str:
    """Train with given losses by step; return how the loop ended."""
    stop = SignalHandler()

    def gradients(inputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        step = state.progress.step
        if stop_at is not None and step == stop_at - 1:
            stop.signal_number = 15
        for parameter in state.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return {"loss": torch.tensor(losses[step])}

    return Trainer(
        state=state,
        gradients=gradients,
        batches=NoBatches(),
        schedule=lambda step: 1.0,
        streams=NoStreams(),  # type: ignore[arg-type]
        evaluate=lambda model: ValidationResult(1.0, 1.0, 1.0, 1),
        checkpoints=Checkpoints(folder),
        record=lambda row: None,
        settings=LoopSettings(
            steps=len(losses), grad_clip_norm=None, log_every=log_every,
            validate_every=validate_every, save_every=save_every, divergence_margin=MARGIN,
            flops_per_token=1, peak_flops=None, show_progress=False, patience=patience,
        ),
        device=CPU,
        stop=stop,
    ).train()  # fmt: skip


def with_spike(steps: range, height: float) -> list[float]:
    """Losses by step, as high as given in ``steps``, which count from 1."""
    return [height if step in steps else FIRST for step in range(1, STEPS + 1)]


# The mean of steps 1 to 10, 11 to 20 and 21 to 25 decides; it may be 7 at most.
CASES = [
    ("one step that is not a number", with_spike(range(13, 14), math.nan), ("diverged", 20)),
    ("infinity", with_spike(range(4, 5), math.inf), ("diverged", 10)),
    ("a spike that recovers", with_spike(range(3, 6), 15.0), ("diverged", 10)),
    ("a spike within the mean's margin", with_spike(range(3, 5), 15.0), ("done", 25)),
    ("a spike over two windows, each within", with_spike(range(9, 13), 15.0), ("done", 25)),
    ("the open window at the end", with_spike(range(22, 26), 9.0), ("diverged", 25)),
    ("from the first step on", [math.inf] * STEPS, ("diverged", 10)),
]  # fmt: skip


@pytest.mark.parametrize(("losses", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_no_interval_of_logging_validation_or_saving_changes_it(
    tmp_path: Path, losses: list[float], expected: tuple[str, int]
) -> None:
    for number, (log, validate, save) in enumerate(itertools.product((1, 3, 10, 100), repeat=3)):
        if number % 7:  # some of them
            continue
        state = new_state()
        ended = train(
            tmp_path / str(number), losses, state,
            log_every=log, validate_every=validate, save_every=save,
        )  # fmt: skip
        assert (ended, state.progress.step) == expected, (log, validate, save)


def cuts() -> Iterator[Any]:
    for name, losses, expected in CASES:
        for stop_at in (4, 13, 22):
            if stop_at < expected[1]:
                yield pytest.param(losses, expected, stop_at, id=f"{name}, cut at {stop_at}")


@pytest.mark.parametrize(("losses", "expected", "stop_at"), list(cuts()))
def test_a_resumed_run_is_judged_as_an_undisturbed_one(
    tmp_path: Path, losses: list[float], expected: tuple[str, int], stop_at: int
) -> None:
    state = new_state()
    assert train(tmp_path, losses, state, stop_at=stop_at) == "stopped"
    resumed = new_state()
    assert Checkpoints(tmp_path).restore_latest(resumed)
    assert resumed.progress.step == stop_at
    assert (train(tmp_path, losses, resumed, log_every=7), resumed.progress.step) == expected


def test_a_checkpoint_of_an_earlier_version_is_judged_from_where_it_is(tmp_path: Path) -> None:
    record = vars(Progress(step=13, first_loss=FIRST))
    old = {key: value for key, value in record.items() if not key.startswith("window_")}
    state = new_state()
    state.progress = Progress(**old)
    losses = with_spike(range(11, 14), 100.0)
    assert train(tmp_path, losses, state) == "done"


@pytest.mark.parametrize(("height", "expected"), [(9.0, "diverged"), (6.0, "done")])
def test_a_run_that_stops_early_is_judged_on_its_open_window(
    tmp_path: Path, height: float, expected: str
) -> None:
    state = new_state()
    losses = with_spike(range(11, 26), height)
    ended = train(tmp_path, losses, state, validate_every=2, patience=6)  # no gain after step 2
    assert (ended, state.progress.step) == (expected, 14)
