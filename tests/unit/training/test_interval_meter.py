from __future__ import annotations

import time

import pytest
import torch

from lmlab.training.interval_meter import IntervalMeter
from lmlab.training.state import Progress

CPU = torch.device("cpu")


def add(meter: IntervalMeter, loss: float, num_tokens: int = 8, seconds: float = 200.0) -> None:
    meter.add({"loss": torch.tensor(loss)}, num_tokens, time.perf_counter() - seconds)


def test_loss_and_throughput_are_those_of_the_interval() -> None:
    meter = IntervalMeter(Progress(), CPU)
    for loss in (4.0, 2.0):
        add(meter, loss)
    losses, tokens_per_second = meter.read()
    assert losses == {"loss": 3.0}
    assert tokens_per_second == pytest.approx(16 / 400, rel=0.05)
    add(meter, 7.0, num_tokens=30, seconds=100.0)
    losses, tokens_per_second = meter.read()
    assert losses == {"loss": 7.0}, "earlier losses belong to earlier intervals"
    assert tokens_per_second == pytest.approx(30 / 100, rel=0.05)


def test_progress_counts_all_updates() -> None:
    progress = Progress()
    meter = IntervalMeter(progress, CPU)
    for loss in (4.0, 2.0):
        add(meter, loss)
    meter.read()
    add(meter, 1.0)
    assert (progress.step, progress.tokens, progress.first_loss) == (3, 24, 4.0)
    assert progress.seconds == pytest.approx(600, rel=0.05)
    assert progress.interval_steps == 1


def test_an_interval_continues_in_the_next_session() -> None:
    progress = Progress()
    meter = IntervalMeter(progress, CPU)
    add(meter, 4.0)
    meter.store()
    resumed = IntervalMeter(Progress(**vars(progress)), CPU)
    add(resumed, 2.0)
    assert resumed.read()[0] == {"loss": 3.0}
    assert resumed.progress.first_loss == 4.0


def test_terms_of_the_loss_continue_in_the_next_session() -> None:
    progress = Progress()
    meter = IntervalMeter(progress, CPU)
    meter.add({"loss": torch.tensor(4.0), "terms/z": torch.tensor(1.0)}, 8, time.perf_counter())
    meter.store()
    resumed = IntervalMeter(Progress(**vars(progress)), CPU)
    resumed.add({"loss": torch.tensor(2.0), "terms/z": torch.tensor(0.5)}, 8, time.perf_counter())
    assert resumed.read()[0] == {"loss": 3.0, "terms/z": 0.75}


class PendingLoss(torch.Tensor):
    """A loss that the host has to wait for, as on a GPU."""

    def item(self) -> float:
        time.sleep(0.3)
        return float(self)


def test_the_wait_for_the_device_is_training_time() -> None:
    progress = Progress(first_loss=1.0)
    meter = IntervalMeter(progress, CPU)
    meter.add({"loss": torch.tensor(1.0).as_subclass(PendingLoss)}, 8, time.perf_counter())
    assert progress.seconds < 0.3, "counting an update does not wait"
    meter.synchronize()
    assert progress.seconds >= 0.3
