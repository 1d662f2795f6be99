"""Which jobs go back into the queue, and how Slurm is asked."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from fake_slurm import FakeSlurm

from lmlab.errors import LockedError
from lmlab.sweep.slurm import requeue as requeue_module
from lmlab.sweep.slurm.requeue import (
    STOPPED_EXIT_CODE,
    catch_signals,
    requeue,
    should_requeue,
)

LOCKED = LockedError.exit_code


@pytest.fixture(autouse=True)
def _restore_handlers() -> Iterator[None]:
    numbers = (signal.SIGUSR2, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("codes", "stop_requested", "expected"),
    [
        ([0, 0], False, False),
        ([0, 0], True, False),  # USR2 came, but every run had finished
        ([STOPPED_EXIT_CODE], False, True),
        ([0, STOPPED_EXIT_CODE, 1], False, True),
        ([LOCKED], False, False),
        ([LOCKED], True, True),
        ([1], True, False),
        ([143], False, False),  # killed by TERM
        ([], True, False),
    ],
)
def test_a_stopped_run_or_an_interrupted_wait_requeues_the_job(
    codes: list[int], stop_requested: bool, expected: bool
) -> None:
    assert should_requeue(codes, stop_requested) is expected


def test_signals_before_a_run_are_caught() -> None:
    stop, save = catch_signals()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)
    assert (stop.received, save.received) == (False, True)
    os.kill(os.getpid(), signal.SIGUSR2)
    time.sleep(0.01)
    assert stop.received
    assert stop.stops and not save.stops


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "81")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setattr(requeue_module, "_TERMINATION_SECONDS", 0)


@pytest.mark.usefixtures("job")
def test_one_job_of_the_array_is_requeued(slurm: FakeSlurm) -> None:
    requeue()
    assert slurm.calls("scontrol") == [["requeue", "81_3"]]
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "Slurm can end the process"


@pytest.mark.usefixtures("job")
def test_a_controller_that_does_not_respond_is_asked_again(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requeue_module, "_RETRY_SECONDS", (0, 0, 0))
    slurm.fail("scontrol")
    assert requeue() is False
    assert len(slurm.calls("scontrol")) == 3
