from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from small_trainer import (
    Batches,
    make_state,
    make_trainer,
    measure,
    objective_of,
    parameters,
    same,
)
from torch import nn
from torch.nn import functional as F

from lmlab.errors import DiskError
from lmlab.runtime.background import ThreadWorker
from lmlab.runtime.signals import EarlySignalHandler, SignalHandler
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.evaluator import ValidationResult
from lmlab.training.gradient_accumulation import GradientAccumulator
from lmlab.training.state import TrainState
from lmlab.training.trainer import weight_norm


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "tokens_per_second")} for row in rows
    ]


def test_the_loop_equals_a_plain_loop(tmp_path: Path) -> None:
    state, rows = make_state(), []
    assert make_trainer(tmp_path, state, rows).train() == "done"

    plain, losses, norms = make_state(), [], []
    for step in range(12):
        inputs, targets = (torch.from_numpy(side) for side in Batches().batch(step))
        plain.optimizer.zero_grad()
        loss = F.cross_entropy(plain.model(inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        norms.append(float(nn.utils.clip_grad_norm_(plain.model.parameters(), 0.5)))
        plain.optimizer.param_groups[0]["lr"] = 0.05 / (step + 1)
        plain.optimizer.step()
        losses.append(loss.item())
    assert max(norms) > 0.5 > min(norms) or max(norms) > 0.5, (
        "some gradients must have been clipped"
    )
    for ours, theirs in zip(parameters(state), parameters(plain), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    trained = [row for row in rows if row["kind"] == "train"]
    assert [row["step"] for row in trained] == [5, 10, 12]
    assert trained[0]["loss"] == pytest.approx(sum(losses[:5]) / 5, rel=1e-5)
    assert trained[2]["loss"] == pytest.approx(sum(losses[10:]) / 2, rel=1e-5)
    assert trained[1]["lr"] == pytest.approx(0.05 / 10), "the rate of the latest update"
    assert trained[1]["grad_norm"] == pytest.approx(norms[9], rel=1e-4)
    assert trained[2]["tokens"] == 12 * 4 * 8


def test_the_rate_of_the_optimizer_is_logged_without_the_multipliers_of_groups(
    tmp_path: Path,
) -> None:
    state, rows = make_state(), []
    state.optimizer.param_groups[0]["lr_multiplier"] = 0.25
    trainer = make_trainer(tmp_path, state, rows, rate_names=("lr_hidden",))
    trainer.train()
    first = next(row for row in rows if row["kind"] == "train")
    assert first["lr_hidden"] == pytest.approx(0.05 / 5)
    assert first["lr"] == pytest.approx(0.05 / 5 / 0.25)


def test_evaluations_and_checkpoints_happen_at_their_steps_and_at_the_end(tmp_path: Path) -> None:
    state, rows = make_state(), []
    make_trainer(tmp_path, state, rows, steps=10).train()
    assert [row["step"] for row in rows if row["kind"] == "validation"] == [0, 4, 8, 10]
    assert Checkpoints(tmp_path).steps() == [3, 6, 9, 10]


@pytest.mark.parametrize("size", [1, 2])
def test_accumulation_equals_the_full_batch(tmp_path: Path, size: int) -> None:
    full, parts = make_state(), make_state()
    make_trainer(tmp_path / "full", full, []).train()
    gradients = GradientAccumulator(objective_of(parts.model), micro_batch_size=size)
    make_trainer(tmp_path / "parts", parts, [], gradients=gradients).train()
    for ours, theirs in zip(parameters(full), parameters(parts), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stopped_at", [1, 3, 4, 7, 11])
def test_a_stop_at_any_step_changes_neither_weights_nor_rows(
    tmp_path: Path, stopped_at: int
) -> None:
    straight, straight_rows = make_state(), []
    make_trainer(tmp_path / "straight", straight, straight_rows).train()

    stop, rows = SignalHandler(), []

    class StopsThere(Batches):
        def batch(self, step: int):
            if step == stopped_at - 1:
                stop.signal_number = signal.SIGTERM
            return super().batch(step)

    first = make_state()
    ended = make_trainer(tmp_path / "cut", first, rows, batches=StopsThere(), stop=stop).train()
    assert (ended, first.progress.step) == ("stopped", stopped_at)
    second = make_state(seed=9)
    Checkpoints(tmp_path / "cut").restore_latest(second)
    make_trainer(tmp_path / "cut", second, rows).train()
    assert same(parameters(straight), parameters(second))
    assert timeless(rows) == timeless(straight_rows)


def test_a_failed_background_save_ends_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lmlab.training.checkpoint_files._fsync", disk_full)
    for save_every in (1, 12):  # noticed at a step boundary, and at the end
        state, checkpoints = make_state(), Checkpoints(tmp_path, worker=ThreadWorker("test"))
        trainer = make_trainer(
            tmp_path, state, [], checkpoints=checkpoints, save_every=save_every, validate_every=12
        )
        with pytest.raises(DiskError, match=r"step_000000\d\d.*disk is full|best_.*disk is full"):
            trainer.train()
        assert list(tmp_path.iterdir()) == []


def test_all_saves_are_on_disk_when_the_loop_ends(tmp_path: Path) -> None:
    class Slow(ThreadWorker):
        def submit(self, task) -> None:
            super().submit(lambda: (time.sleep(0.1), task())[1])

    for ended, stop in (("done", SignalHandler()), ("stopped", SignalHandler(signal.SIGTERM))):
        folder = tmp_path / ended
        checkpoints = Checkpoints(folder, worker=Slow("test"))
        trainer = make_trainer(
            folder, make_state(), [], checkpoints=checkpoints, steps=3, stop=stop
        )
        assert trainer.train() == ended
        assert Checkpoints(folder).steps() == [3 if ended == "done" else 1]


@pytest.mark.parametrize("end", ["closed", "failed"])
def test_nothing_is_being_written_when_the_caller_ends_the_loop(tmp_path: Path, end: str) -> None:
    """As a stack does for one of its runs: it then releases the lock of the run's folder."""
    gate, written = threading.Event(), []

    class Late(ThreadWorker):
        def submit(self, task) -> None:
            super().submit(lambda: (gate.wait(10), task(), written.append(0))[1])

    def record(row: dict[str, Any]) -> None:
        if row["step"] == 1:
            threading.Timer(0.2, gate.set).start()
            if end == "failed":
                raise DiskError("the disk is full")

    loop = make_trainer(
        tmp_path, make_state(), [], checkpoints=Checkpoints(tmp_path, worker=Late("test")),
        save_at=frozenset({0}), log_every=1, validate_every=12, record=record,
    ).loop()  # fmt: skip
    next(loop)
    with contextlib.suppress(DiskError):
        loop.send({"loss": torch.tensor(1.0)})
    loop.close()
    assert written == [0]
    assert Checkpoints(tmp_path).steps() == [0]


def test_a_signal_in_the_last_step_leaves_a_finished_run(tmp_path: Path) -> None:
    stop = SignalHandler(signal.SIGTERM)
    assert make_trainer(tmp_path, make_state(), [], steps=1, stop=stop).train() == "done"


class FakeLoss:
    """A model whose logits are scaled from some call on."""

    def __init__(self, model: nn.Module, call: int, factor: float) -> None:
        self.model, self.call, self.factor, self.calls = model, call, factor, 0

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        logits = self.model(tokens)
        return logits * self.factor if self.calls >= self.call else logits


@pytest.mark.parametrize("factor", [math.nan, math.inf, 1e4])
def test_a_diverged_run_ends_and_is_not_saved(tmp_path: Path, factor: float) -> None:
    state, rows = make_state(), []
    gradients = GradientAccumulator(
        objective_of(FakeLoss(state.model, 8, factor)), micro_batch_size=4
    )
    trainer = make_trainer(tmp_path, state, rows, gradients=gradients, save_every=5)
    assert trainer.train() == "diverged"
    assert rows[-1]["kind"] == "train"
    assert rows[-1]["step"] == 10, "judged at the end of the ten updates"
    assert Checkpoints(tmp_path).steps() == [5]
    restored = make_state(seed=1)
    Checkpoints(tmp_path).restore_latest(restored)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in parameters(restored))


def test_a_high_loss_within_the_margin_is_not_divergence(tmp_path: Path) -> None:
    state = make_state()
    gradients = GradientAccumulator(
        objective_of(FakeLoss(state.model, 8, 10.0)), micro_batch_size=4
    )
    trainer = make_trainer(tmp_path, state, [], gradients=gradients, divergence_margin=1e6)
    assert trainer.train() == "done"


def test_the_best_weights_have_the_lowest_finite_loss(tmp_path: Path) -> None:
    losses = iter([0.1, 5.0, math.nan, 3.0, 4.0])  # before training, then at 3, 6, 9, 12

    def evaluate(model: nn.Module) -> ValidationResult:
        loss = next(losses)
        return ValidationResult(loss, 0.0, 0.0, 1)

    state = make_state()
    make_trainer(tmp_path, state, [], evaluate=evaluate, validate_every=3).train()
    assert (state.progress.best_loss, state.progress.best_step) == (3.0, 9)
    assert [path.name for path in tmp_path.glob("best_*")] == ["best_00000009"]


@pytest.mark.parametrize("cut_at", [None, 6, 8, 9, 10])
def test_a_run_ends_after_as_many_evaluations_without_gain_as_its_patience(
    tmp_path: Path, cut_at: int | None
) -> None:
    losses = [0.1, 5.0, 5.0, 4.0, math.nan, 4.0, 3.9, 3.8, 3.7]  # before training, then at 2, 4 ...
    stop, rows = SignalHandler(), []

    def train(state: TrainState) -> str:
        def evaluate(model: nn.Module) -> ValidationResult:
            if state.progress.step == cut_at:
                stop.signal_number = signal.SIGTERM
            return ValidationResult(losses[state.progress.step // 2], 0.0, 0.0, 1)

        return make_trainer(
            tmp_path, state, rows, evaluate=evaluate, validate_every=2, patience=2, steps=16,
            save_every=100, stop=stop,
        ).train()  # fmt: skip

    state = make_state()
    ended = train(state)
    if ended == "stopped":
        stop, state, cut_at = SignalHandler(), make_state(seed=9), None
        Checkpoints(tmp_path).restore_latest(state)
        ended = train(state)
    # Gains at 2 and 6; the evaluations at 8 (not finite) and 10 (equal) are none.
    assert (ended, state.progress.step, state.progress.best_step) == ("done", 10, 6)
    evaluated = [row["step"] for row in rows if row["kind"] == "validation"]
    assert evaluated == [0, 2, 4, 6, 8, 10]
    again = make_state(seed=5)
    Checkpoints(tmp_path).restore_latest(again)  # killed before it was marked as done
    assert (train(again), again.progress.step) == ("done", 10)
    assert same(parameters(again), parameters(state))


def test_rows_report_mfu_if_the_peak_is_known(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    make_trainer(tmp_path, make_state(), rows, peak_flops=1e6).train()
    row = next(row for row in rows if row["kind"] == "train")
    assert row["mfu"] == pytest.approx(row["tokens_per_second"] * 100 / 1e6, rel=1e-3)


class PendingLoss(torch.Tensor):
    """A loss that the host has to wait for, as on a GPU."""

    WAIT = 0.05

    def item(self) -> float:
        time.sleep(self.WAIT)
        return float(self)


def test_the_wait_for_a_device_counts_as_training_time(tmp_path: Path) -> None:
    state, rows = make_state(), []
    waited_before: list[float] = []

    def evaluate(model: nn.Module) -> ValidationResult:
        waited_before.append(state.progress.seconds)
        time.sleep(0.5)  # evaluation does not
        return measure(model)

    inner = GradientAccumulator(objective_of(state.model), micro_batch_size=4)
    trainer = make_trainer(
        tmp_path, state, rows, evaluate=evaluate, validate_every=6, log_every=12, save_every=12,
        gradients=lambda *batch: {"loss": inner(*batch)["loss"].as_subclass(PendingLoss)},
    )  # fmt: skip
    started = time.perf_counter()
    trainer.train()
    of_updates = time.perf_counter() - started - 3 * 0.5  # at most, however slow the machine
    at_start, halfway, at_end = waited_before
    assert at_start == 0
    assert halfway >= PendingLoss.WAIT
    assert halfway + PendingLoss.WAIT <= at_end <= of_updates
    row = next(row for row in rows if row["kind"] == "train")
    assert row["tokens_per_second"] < state.progress.tokens / (2 * PendingLoss.WAIT)


def test_weight_norm_covers_all_weights() -> None:
    model = nn.Linear(1, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0], [2.0]]))
        model.bias.copy_(torch.tensor([2.0, 4.0]))
    assert weight_norm(model) == pytest.approx(5.0)


def test_a_warning_saves_once_and_training_continues(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, EarlySignalHandler(stops=False))
    try:
        stop, saved = SignalHandler(), []

        def record(row: dict[str, Any]) -> None:
            if row["kind"] == "train" and row["step"] == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            saved.append(Checkpoints(tmp_path).steps())

        with stop.listen():
            trainer = make_trainer(tmp_path, make_state(), [], stop=stop, save_every=1000)
            trainer.record = record
            assert trainer.train() == "done"
        assert [5] in saved
        assert Checkpoints(tmp_path).steps()[0] == 5
    finally:
        signal.signal(signal.SIGTERM, before)


class Balanced(nn.Linear):
    """Records the weights that it has when it is told of an update."""

    def __init__(self) -> None:
        super().__init__(5, 7)
        self.seen: list[torch.Tensor] = []

    def after_update(self) -> None:
        self.seen.append(self.weight.detach().clone())


def test_parts_are_told_of_each_update_after_it(tmp_path: Path) -> None:
    state = make_state()
    state.model[1] = part = Balanced()
    state.optimizer = torch.optim.SGD(state.model.parameters(), lr=0.05)
    state.optimizer.param_groups[0]["initial_lr"] = 0.05
    before = part.weight.detach().clone()
    make_trainer(tmp_path, state, [], steps=3).train()
    assert len(part.seen) == 3
    assert not torch.equal(part.seen[0], before)
    assert torch.equal(part.seen[2], part.weight)
