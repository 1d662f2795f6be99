"""Signals that stop a run at its next step boundary or make it save a checkpoint."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@dataclasses.dataclass
class EarlySignalHandler:
    """Records a signal that arrives before a run installs its :class:`SignalHandler`.

    Attributes:
        stops: whether the signal stops the run; otherwise the run saves and continues.
        received: whether the signal has arrived.
    """

    stops: bool = True
    received: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.received = True


@dataclasses.dataclass
class SignalHandler:
    """Asks the loop to save at the next step boundary and, for most signals, to stop there.

    A signal stops the run unless its launcher has installed an :class:`EarlySignalHandler` for it
    with ``stops=False``.

    Attributes:
        signal_number: the signal that stops the run; None if none has arrived.
        all_reduce_max: returns the maximum of its arguments over the ranks of the run.
    """

    signal_number: int | None = None
    all_reduce_max: Callable[[int], int] = lambda number: number
    _save: bool = False
    _save_is_agreed: bool = False
    _saving_signals: set[int] = dataclasses.field(default_factory=set)

    @property
    def is_set(self) -> bool:
        """Whether a signal that stops the run has arrived in this process."""
        return self.signal_number is not None

    def should_stop(self) -> bool:
        """Return whether a signal to any rank stops the run.

        All ranks call this at the same step boundary. They also agree on whether to save, which
        :meth:`should_save` then returns.
        """
        save = self._save
        agreed, saves = divmod(self.all_reduce_max(2 * (self.signal_number or 0) + save), 2)
        self._save_is_agreed |= bool(saves)
        # A signal that arrived during the exchange counts at the next boundary.
        self._save &= not save
        if agreed:
            self.signal_number = agreed
        return bool(agreed)

    @contextlib.contextmanager
    def listen(self) -> Iterator[SignalHandler]:
        """Handle SIGINT, SIGTERM and SIGUSR2 inside; restore the previous handlers afterwards."""
        previous = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
            before = signal.getsignal(number)
            if isinstance(before, EarlySignalHandler) and not before.stops:
                self._saving_signals.add(number)
            previous[number] = signal.signal(number, self._record)
            if isinstance(before, EarlySignalHandler) and before.received:
                self._record(number, None)
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def should_save(self) -> bool:
        """Return, once, whether the ranks agreed at the latest boundary to save and continue."""
        asked, self._save_is_agreed = self._save_is_agreed, False
        return asked

    def _record(self, number: int, frame: FrameType | None) -> None:
        if number in self._saving_signals:
            self._save = True
            return
        if self.is_set and number == signal.SIGINT:
            raise KeyboardInterrupt  # a second Ctrl-C exits at once; saved checkpoints are unharmed
        self.signal_number = number
