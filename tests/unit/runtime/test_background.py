"""Background tasks run in order, and their errors are never lost."""

from __future__ import annotations

import threading

import pytest

from lmlab.runtime.background import InlineWorker, ThreadWorker


def fail() -> None:
    raise ValueError("no space")


def test_tasks_run_in_order_without_blocking_the_caller() -> None:
    worker, gate, done = ThreadWorker("test"), threading.Event(), list[int]()
    worker.submit(lambda: (gate.wait(), done.append(1))[1])
    worker.submit(lambda: done.append(2))
    worker.raise_errors()  # neither fails nor waits
    assert done == []
    gate.set()
    worker.wait()
    assert done == [1, 2]


def test_an_error_is_raised_once_at_the_next_check() -> None:
    worker = ThreadWorker("test")
    worker.submit(fail)
    worker.drain()
    with pytest.raises(ValueError, match="no space"):
        worker.raise_errors()
    worker.raise_errors()
    worker.submit(fail)
    with pytest.raises(ValueError, match="no space"):
        worker.wait()


def test_an_inline_worker_runs_tasks_at_once() -> None:
    done: list[int] = []
    InlineWorker().submit(lambda: done.append(1))
    assert done == [1]
    with pytest.raises(ValueError, match="no space"):
        InlineWorker().submit(fail)
