"""Workers that run tasks in order: inline, or in a background thread."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Protocol

Task = Callable[[], None]


class Worker(Protocol):
    """Runs tasks in the order of their submission."""

    def submit(self, task: Task) -> None:
        """Run ``task`` now or later."""
        ...

    def raise_errors(self) -> None:
        """Raise the error of the first task that failed since the last call, without waiting."""
        ...

    def wait(self) -> None:
        """Wait until all tasks are done; raise the error of the first that failed."""
        ...

    def drain(self) -> None:
        """Wait until all tasks are done; keep errors for the next :meth:`raise_errors`."""
        ...


class InlineWorker:
    """Runs each task before :meth:`submit` returns."""

    def submit(self, task: Task) -> None:
        """Run ``task``; raises its errors."""
        task()

    def raise_errors(self) -> None:
        """Do nothing: no task is pending."""

    def wait(self) -> None:
        """Do nothing: no task is pending."""

    def drain(self) -> None:
        """Do nothing: no task is pending."""


class ThreadWorker:
    """Runs tasks in one background thread.

    Unless it is killed, the process exits only after all tasks are done.

    Args:
        name: name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=name)
        self._submitted: list[concurrent.futures.Future[None]] = []

    def submit(self, task: Task) -> None:
        """Append ``task`` to the queue."""
        self._submitted.append(self._thread.submit(task))

    def raise_errors(self) -> None:
        """Raise the error of the first failed task, without waiting."""
        while self._submitted and self._submitted[0].done():
            self._submitted.pop(0).result()

    def wait(self) -> None:
        """Wait until all tasks are done; raise the error of the first that failed."""
        self.drain()
        self.raise_errors()

    def drain(self) -> None:
        """Wait until all tasks are done; keep errors for the next :meth:`raise_errors`."""
        concurrent.futures.wait(self._submitted)
