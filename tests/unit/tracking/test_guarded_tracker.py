"""A tracker that raises, hangs or changes its arguments touches nothing but the tracking."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from lmlab.errors import ConfigError
from lmlab.runtime.random_streams import generator_states
from lmlab.tracking import guarded_tracker
from lmlab.tracking.guarded_tracker import GuardedTracker


class Recorder:
    """Records its calls; one of them fails."""

    def __init__(self, failing: str = "", error: BaseException | None = None) -> None:
        self.failing, self.error = failing, error or ValueError("a bug")
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name not in ("log", "samples", "summary", "finish"):
            raise AttributeError(name)

        def call(argument: Any) -> None:
            self.calls.append((name, argument))
            if name == self.failing:
                raise self.error

        return call


def session(tracker: GuardedTracker) -> None:
    for step in range(3):
        tracker.log({"kind": "train", "step": step})
    tracker.samples([{"prompt": "a", "text": "b"}])
    tracker.summary({"loss": 1.0})
    tracker.finish(0)


@pytest.mark.parametrize("failing", ["log", "samples", "summary", "finish"])
@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit(3), KeyboardInterrupt()])
def test_an_error_is_said_once_and_ends_the_tracking(
    caplog: pytest.LogCaptureFixture, failing: str, error: BaseException
) -> None:
    recorder = Recorder(failing, error)
    tracker = GuardedTracker(lambda: recorder, name="mine.Tracker", remedy="send it later")
    session(tracker)
    (record,) = caplog.records
    assert f"mine.Tracker raised {type(error).__name__}" in record.getMessage()
    assert f"when called {failing}" in record.getMessage()
    assert record.exc_info
    assert [name for name, _ in recorder.calls].count(failing) == 1
    assert recorder.calls[-1][0] == "finish", "it can release what it holds"
    assert not tracker.has_delivered


def test_an_error_of_the_constructor_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Any:
        raise RuntimeError("no server")

    session(GuardedTracker(make, name="mine.Tracker", remedy="send it later"))
    assert len(caplog.records) == 1
    assert "RuntimeError: no server when started" in caplog.text


def test_settings_that_are_not_valid_are_refused() -> None:
    def make() -> Any:
        raise ConfigError("logger.mode=x: expected y")

    with pytest.raises(ConfigError, match=r"logger\.mode=x"):
        GuardedTracker(make, name="mine", remedy="")


@pytest.mark.parametrize("where", ["make", "log", "finish"])
def test_a_tracker_that_hangs_is_abandoned(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(guarded_tracker, "START_SECONDS", 0.2)
    monkeypatch.setattr(guarded_tracker, "FINISH_SECONDS", 0.3)
    release = threading.Event()

    class Hanging(Recorder):
        def log(self, row: dict[str, Any]) -> None:
            if where == "log":
                release.wait(60)

        def finish(self, exit_code: int) -> None:
            if where == "finish":
                release.wait(60)

    def make() -> Hanging:
        if where == "make":
            release.wait(60)
        return Hanging()

    started = time.monotonic()
    tracker = GuardedTracker(make, name="mine.Tracker", remedy="send it later")
    session(tracker)
    assert time.monotonic() - started < 5
    assert not tracker.has_delivered
    (record,) = caplog.records
    assert "did not end within" in record.getMessage()
    release.set()


def test_the_tracker_cannot_change_the_row_of_the_run() -> None:
    class Changing(Recorder):
        def log(self, row: dict[str, Any]) -> None:
            row.clear()

    tracker = GuardedTracker(Changing, name="mine", remedy="")
    row = {"kind": "train", "loss": 2.0}
    tracker.log(row)
    tracker.finish(0)
    assert row == {"kind": "train", "loss": 2.0}
    assert tracker.has_delivered


def draw() -> None:
    torch.rand(3)
    np.random.rand(3)
    random.random()
    torch.manual_seed(5)


class Drawing(Recorder):
    """Draws from every default generator, in every call."""

    def __init__(self) -> None:
        super().__init__()
        draw()

    def log(self, row: dict[str, Any]) -> None:
        draw()
        self.calls.append(("log", row))

    def samples(self, rows: Any) -> None:
        draw()

    def summary(self, values: Any) -> None:
        draw()

    def finish(self, exit_code: int) -> None:
        draw()


def states() -> dict[str, list[Any]]:
    return {name: state.tolist() for name, state in generator_states().items()}


def test_a_tracker_cannot_draw_the_random_numbers_of_the_run() -> None:
    before, made = states(), []
    tracker = GuardedTracker(
        lambda: made.append(Drawing()) or made[0], name="mine", remedy="", waits=True
    )
    assert states() == before
    tracker.log({"step": 1})
    assert made[0].calls == [("log", {"step": 1})], "no call is left for a later moment"
    assert states() == before
    session(tracker)
    assert states() == before
    assert tracker.has_delivered


@pytest.mark.parametrize("where", ["start", "log", "end"])
def test_a_tracker_that_is_abandoned_draws_nothing_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    release = threading.Event()

    def give_up_soon(name: str) -> None:
        monkeypatch.setattr(guarded_tracker, name, 0.1)

    class Late(Drawing):
        def __init__(self) -> None:
            if where == "start":
                release.wait(60)
            super().__init__()

        def log(self, row: dict[str, Any]) -> None:
            if where == "log":
                release.wait(60)
            super().log(row)

        def finish(self, exit_code: int) -> None:
            if where == "end":
                release.wait(60)
            super().finish(exit_code)

    before = states()
    if where == "start":
        give_up_soon("CALL_SECONDS")
    tracker = GuardedTracker(Late, name="mine.Tracker", remedy="send it later", waits=True)
    give_up_soon("FINISH_SECONDS" if where == "end" else "CALL_SECONDS")
    session(tracker)
    release.set()
    for thread in threading.enumerate():
        if thread.name == "tracker":
            thread.join(60)
    assert states() == before
    (record,) = caplog.records
    assert f"mine.Tracker did not {where}" in record.getMessage().replace("return from ", "")
