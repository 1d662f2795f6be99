"""Signals that stop a run at its next step, or make it save, even those sent before it listens."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@dataclasses.dataclass
class EarlySignalHandler:
    """A handler for the time before a run listens; what it keeps is then the run's to follow.

    Attributes:
        stops: whether a run stops at the signal; else it saves and goes on.
        received: whether the signal came before the run listened.
    """

    stops: bool = True
    received: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.received = True


@dataclasses.dataclass
class SignalHandler:
    """Set by a signal: the loop saves at the next step boundary and returns.

    Where whoever started the process had put an :class:`EarlySignalHandler` in place, that tells whether
    the signal stops the run or only makes it save.

    Attributes:
        signal_number: the signal that has come.
        all_reduce_max: returns the largest of the numbers that all ranks of the run call it with.
    """

    signal_number: int | None = None
    all_reduce_max: Callable[[int], int] = lambda number: number
    _save: bool = False
    _save_is_agreed: bool = False
    _goes_on: set[int] = dataclasses.field(default_factory=set)

    @property
    def is_set(self) -> bool:
        """Whether a signal has come."""
        return self.signal_number is not None

    def should_stop(self) -> bool:
        """Whether a signal has come to any rank that stops the run.

        All ask at the same step boundary, and agree on what asks for a save alone, too.
        """
        save = self._save
        agreed, saves = divmod(self.all_reduce_max(2 * (self.signal_number or 0) + save), 2)
        self._save_is_agreed |= bool(saves)
        # What has come meanwhile is kept for the next boundary.
        self._save &= not save
        if agreed:
            self.signal_number = agreed
        return bool(agreed)

    @contextlib.contextmanager
    def listen(self) -> Iterator[SignalHandler]:
        """Catch SIGINT, SIGTERM and SIGUSR2 inside; the former handlers come back afterwards."""
        former = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
            before = signal.getsignal(number)
            if isinstance(before, EarlySignalHandler) and not before.stops:
                self._goes_on.add(number)
            former[number] = signal.signal(number, self._note)
            if isinstance(before, EarlySignalHandler) and before.received:
                self._note(number, None)
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def should_save(self) -> bool:
        """Whether a signal asked for a save alone, at the last boundary on which all agreed."""
        asked, self._save_is_agreed = self._save_is_agreed, False
        return asked

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in self._goes_on:
            self._save = True
            return
        if self.is_set and number == signal.SIGINT:
            raise KeyboardInterrupt  # a second Ctrl-C does not wait; saved states stay whole
        self.signal_number = number
