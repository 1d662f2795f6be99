"""Logs that are no terminal get lines of progress by time, with the time left."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest

from lmlab.console import progress_lines
from lmlab.console.progress_lines import ProgressLines


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, in a list of one item."""
    now = [1000.0]
    monkeypatch.setattr(progress_lines.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_by_time_with_loss_rate_and_time_left(clock, caplog) -> None:
    caplog.set_level(logging.INFO, "lmlab")
    bar = ProgressLines(total=600, initial=100, desc="training", unit="step")
    for _ in range(50):
        clock[0] += 0.5
        bar.set_postfix_str("loss=3.142 lr=0.001 tok/s=12,345")
        bar.update()
    assert caplog.messages == [
        "training: step 120 of 600 (20%), loss=3.142 lr=0.001 tok/s=12,345, 4 min left",
        "training: step 140 of 600 (23%), loss=3.142 lr=0.001 tok/s=12,345, 4 min left",
    ]


def test_bytes_have_units_and_a_rate(clock, caplog) -> None:
    caplog.set_level(logging.INFO, "lmlab")
    bar = ProgressLines(total=6e9, desc="encoding train", unit="B")
    clock[0] += 12
    bar.update(1_200_000_000)
    unknown = ProgressLines(desc="downloading x", unit="B")
    clock[0] += 10
    unknown.update(5_000_000)
    assert caplog.messages == [
        "encoding train: 1.2 GB of 6 GB (20%), 100 MB/s, 48 s left",
        "downloading x: 5 MB, 500 kB/s",
    ]


def test_a_long_job_prints_few_lines(clock, caplog) -> None:
    caplog.set_level(logging.INFO, "lmlab")
    bar = ProgressLines(total=3 * 86_400, desc="training", unit="step")
    for _ in range(3 * 86_400):
        clock[0] += 1
        bar.update()
    assert 800 < len(caplog.messages) < 1000, "every five minutes in the end"


def test_items_and_threads_are_counted(clock, caplog) -> None:
    caplog.set_level(logging.INFO, "lmlab")
    assert list(ProgressLines(range(3), desc="merging")) == [0, 1, 2]
    assert caplog.messages == [], "what takes less than ten seconds prints nothing"
    clock[0] += 11
    bar = ProgressLines(total=8, desc="counting", unit="piece")
    clock[0] += 11
    threads = [threading.Thread(target=bar.update) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caplog.messages) == 1


def test_a_pipe_gets_whole_lines_without_carriage_returns() -> None:
    code = (
        "from lmlab.console import progress_lines\n"
        "progress_lines.FIRST_SECONDS = 0\n"
        "from lmlab.console.progress_bar import progress\n"
        "for item in progress(range(3), desc='merging', unit='merge'): pass\n"
        "assert not list(progress(range(0), shown=False))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert b"\r" not in done.stderr and b"\x1b" not in done.stderr
    first, *_ = done.stderr.decode().splitlines()
    assert first.startswith("merging: merge 1 of 3 (33%), ")
    assert done.stdout == b""
