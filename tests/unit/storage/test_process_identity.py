from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmlab.storage import process_identity
from lmlab.storage.process_identity import (
    UNKNOWN_START,
    boot_id,
    is_stopped,
    pid_namespace,
    process_start_time,
)

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_a_start_time_lasts_as_long_as_its_process(sleeper) -> None:
    started = process_start_time(sleeper.pid)
    assert started is not None
    assert process_start_time(sleeper.pid) == started
    sleeper.kill()
    sleeper.wait()
    assert process_start_time(sleeper.pid) is None


@needs_proc
def test_a_stopped_process_is_told(sleeper) -> None:
    assert not is_stopped(sleeper.pid)
    sleeper.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while not is_stopped(sleeper.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_stopped(sleeper.pid)


@needs_proc
def test_where_proc_shows_other_ids_a_process_is_only_known_to_live(
    sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a name space whose /proc is that of its parent, or where others' are hidden."""
    monkeypatch.setattr(process_identity, "_proc_shows_own_ids", lambda: False)
    assert process_start_time(sleeper.pid) == UNKNOWN_START
    assert not is_stopped(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert process_start_time(sleeper.pid) is None


def test_a_start_time_by_ps_does_not_depend_on_the_time_zone(
    sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, which has no /proc."""
    started = process_identity._start_time_by_ps(sleeper.pid)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert process_identity._start_time_by_ps(sleeper.pid) == started
    assert started == UNKNOWN_START or str(time.gmtime().tm_year) in started


@needs_proc
def test_this_boot_and_name_space_are_known() -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert pid_namespace() == os.readlink(f"/proc/{os.getpid()}/ns/pid")
