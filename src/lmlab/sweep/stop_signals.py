"""Count the signals that ask a sweep to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from lmlab.runtime.signals import EarlySignalHandler


class StopSignals:
    """Count signals in a ``with`` block, including those that an early handler received before.

    Args:
        numbers: signals to catch.
        on_first: called at the first signal.

    Attributes:
        count: number of signals so far.
    """

    def __init__(self, numbers: Sequence[signal.Signals], on_first: Callable[[], None]) -> None:
        self.numbers, self.on_first, self.count = numbers, on_first, 0
        self._previous: dict[int, Callable[..., Any] | int | None] = {}

    def __enter__(self) -> StopSignals:
        for number in self.numbers:
            self._previous[number] = early = signal.signal(number, self._catch)
            if isinstance(early, EarlySignalHandler) and early.received:
                self._catch(number, None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame: object) -> None:
        self.count += 1
        if self.count == 1:
            self.on_first()
