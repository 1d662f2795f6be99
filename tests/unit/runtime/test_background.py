"""Work done behind the caller's back: in order, and never failing in silence."""

from __future__ import annotations

import threading

import pytest

from lmlab.runtime.background import InlineWorker, ThreadWorker


def failing() -> None:
    raise ValueError("no room")


def test_tasks_are_done_in_order_without_being_waited_for() -> None:
    worker, gate, done = ThreadWorker("test"), threading.Event(), list[int]()
    worker.start(lambda: (gate.wait(), done.append(1))[1])
    worker.start(lambda: done.append(2))
    worker.check()  # nothing has failed, and nothing is waited for
    assert done == []
    gate.set()
    worker.wait()
    assert done == [1, 2]


def test_a_failure_is_raised_once_at_the_next_look() -> None:
    worker = ThreadWorker("test")
    worker.start(failing)
    worker.settle()
    with pytest.raises(ValueError, match="no room"):
        worker.check()
    worker.check()
    worker.start(failing)
    with pytest.raises(ValueError, match="no room"):
        worker.wait()


def test_at_once_is_at_once() -> None:
    done: list[int] = []
    InlineWorker().start(lambda: done.append(1))
    assert done == [1]
    with pytest.raises(ValueError, match="no room"):
        InlineWorker().start(failing)
