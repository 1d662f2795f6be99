"""Work that need not be waited for: done at once, or in turn by a thread."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Protocol

Task = Callable[[], None]


class Worker(Protocol):
    """Does what it is given, in the order in which it came."""

    def start(self, task: Task) -> None:
        """Do ``task``, now or soon."""
        ...

    def check(self) -> None:
        """Raise what a task raised, if one failed since the last call; never waits."""
        ...

    def wait(self) -> None:
        """Return when everything is done; raise what a task raised."""
        ...

    def settle(self) -> None:
        """Return when everything is done; failures are kept for the next ``check``."""
        ...


class InlineWorker:
    """Does each task before it returns."""

    def start(self, task: Task) -> None:
        """Do ``task``; raises what it raises."""
        task()

    def check(self) -> None:
        """Nothing is outstanding."""

    def wait(self) -> None:
        """Nothing is outstanding."""

    def settle(self) -> None:
        """Nothing is outstanding."""


class ThreadWorker:
    """Does tasks in a thread of its own, one after the other.

    The process does not end before its tasks have, unless it is killed.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=name)
        self._begun: list[concurrent.futures.Future[None]] = []

    def start(self, task: Task) -> None:
        """Put ``task`` behind those that are not done yet."""
        self._begun.append(self._thread.submit(task))

    def check(self) -> None:
        """Raise what the first failed task raised; never waits."""
        while self._begun and self._begun[0].done():
            self._begun.pop(0).result()

    def wait(self) -> None:
        """Return when everything is done; raise what the first failed task raised."""
        self.settle()
        self.check()

    def settle(self) -> None:
        """Return when everything is done; failures are kept for the next ``check``."""
        concurrent.futures.wait(self._begun)
