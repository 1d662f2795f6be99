"""Several trackers of one run: each gets everything, and none depends on another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lmlab.errors import ConfigError
from lmlab.tracking.guarded_tracker import GuardedTracker
from lmlab.tracking.several import SeveralTrackers


class Recorder:
    """Records the names of its calls; one of them fails."""

    def __init__(self, failing: str = "") -> None:
        self.failing, self.calls = failing, list[str]()

    def __getattr__(self, name: str) -> Any:
        if name not in ("log", "samples", "summary", "finish"):
            raise AttributeError(name)

        def call(argument: Any) -> None:
            self.calls.append(name)
            if isinstance(argument, dict):
                argument.clear()
            if name == self.failing:
                raise OSError("disk full")

        return call


def guarded(recorder: Any) -> Callable[[], GuardedTracker]:
    def make() -> Any:
        if isinstance(recorder, Exception):
            raise recorder
        return recorder

    return lambda: GuardedTracker(make, name="tracker", remedy="send it later")


def run(trackers: SeveralTrackers) -> dict[str, Any]:
    row = {"kind": "train", "step": 1, "loss": 2.0}
    trackers.log(row)
    trackers.samples([{"prompt": "a", "text": "b", "step": 1}])
    trackers.summary({"loss": 2.0})
    trackers.finish(0)
    return row


COMPLETE = ["log", "samples", "summary", "finish"]


@pytest.mark.parametrize("failing", ["", *COMPLETE])
def test_a_failure_of_one_reaches_no_other(failing: str, caplog: pytest.LogCaptureFixture) -> None:
    first, last = Recorder(failing), Recorder()
    trackers = SeveralTrackers({"logger.a": guarded(first), "logger.b": guarded(last)})
    row = run(trackers)
    assert last.calls == COMPLETE
    assert row == {"kind": "train", "step": 1, "loss": 2.0}
    assert trackers.delivered() == (["logger.b"] if failing else ["logger.a", "logger.b"])
    assert len(caplog.records) == bool(failing)


def test_one_that_cannot_start_leaves_the_other(caplog: pytest.LogCaptureFixture) -> None:
    last = Recorder()
    trackers = SeveralTrackers({"a": guarded(OSError("no network")), "b": guarded(last)})
    run(trackers)
    assert (last.calls, trackers.delivered()) == (COMPLETE, ["b"])


def test_a_refused_setting_ends_those_that_have_started() -> None:
    first = Recorder()
    with pytest.raises(ConfigError, match="not valid"):
        SeveralTrackers({"a": guarded(first), "b": guarded(ConfigError("not valid"))})
    assert first.calls == ["finish"]


def test_without_trackers_nothing_happens() -> None:
    trackers = SeveralTrackers({})
    run(trackers)
    assert trackers.delivered() == []
