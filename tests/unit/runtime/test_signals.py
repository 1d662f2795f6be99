from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from lmlab.runtime.signals import EarlySignalHandler, SignalHandler


@pytest.fixture
def early() -> Iterator[EarlySignalHandler]:
    """A handler of SIGTERM that the launching process has installed, which asks for a save."""
    handler = EarlySignalHandler(stops=False)
    before = signal.signal(signal.SIGTERM, handler)
    yield handler
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_signals_are_noted_and_previous_handlers_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with SignalHandler().listen() as stop:
        assert not stop.is_set
        os.kill(os.getpid(), number)
        assert stop.signal_number == number
    assert signal.getsignal(number) is before


def test_a_second_interrupt_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), SignalHandler().listen():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_second_sigterm_still_waits_for_the_step() -> None:
    with SignalHandler().listen() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.should_stop()


def test_a_signal_before_the_run_stops_it() -> None:
    before = signal.signal(signal.SIGUSR2, EarlySignalHandler())
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
        with SignalHandler().listen() as stop:
            assert stop.signal_number == signal.SIGUSR2
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_warning_before_the_run_makes_it_save(early: EarlySignalHandler) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    assert early.received
    with SignalHandler().listen() as stop:
        assert not stop.should_stop()
        assert stop.should_save()


def test_a_warning_asks_for_one_save(early: EarlySignalHandler) -> None:
    with SignalHandler().listen() as stop:
        assert not stop.should_stop() and not stop.should_save()
        os.kill(os.getpid(), signal.SIGTERM)
        assert not stop.should_save(), "the ranks have not agreed yet"
        assert [(stop.should_stop(), stop.should_save()) for _ in range(2)] == [
            (False, True), (False, False),
        ]  # fmt: skip


def test_a_signal_to_another_rank_stops_this_one() -> None:
    stop = SignalHandler(all_reduce_max=lambda number: max(number, 2 * signal.SIGUSR2))
    assert stop.should_stop()
    assert stop.signal_number == signal.SIGUSR2
    assert not stop.should_save()


def test_a_warning_to_another_rank_makes_this_one_save() -> None:
    stop = SignalHandler(all_reduce_max=lambda number: max(number, 1))
    assert not stop.should_stop()
    assert stop.should_save()


def test_a_warning_during_the_agreement_is_kept_for_the_next_step(
    early: EarlySignalHandler,
) -> None:
    agreed: list[int] = []

    def all_reduce_max(number: int) -> int:
        if not agreed:
            os.kill(os.getpid(), signal.SIGTERM)
        agreed.append(number)
        return number

    with SignalHandler(all_reduce_max=all_reduce_max).listen() as stop:
        assert [(stop.should_stop(), stop.should_save()) for _ in range(3)] == [
            (False, False), (False, True), (False, False),
        ]  # fmt: skip
    assert agreed == [0, 1, 0]
