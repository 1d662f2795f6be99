from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from lmlab.errors import LockedError
from lmlab.storage.lock import STALE_SECONDS, Lock, is_alive

OWNER = """
    import sys, time
    from lmlab.storage.lock import Lock
    with Lock(sys.argv[1]):
        print("locked", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path: Path):
    """A live process that owns tmp_path/run.lock."""
    path = tmp_path / "run.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    yield process, path
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_live_owner_excludes_others(owner) -> None:
    process, path = owner
    message = rf": being written by process {process.pid} on .*\nhelp: wait for it or stop it"
    with pytest.raises(LockedError, match=message), Lock(path, wait=False):
        pass
    assert is_alive(path)


def test_the_lock_of_a_killed_owner_is_taken_over(owner) -> None:
    process, path = owner
    process.kill()
    process.wait()
    assert not is_alive(path)
    with Lock(path, wait=False) as lock:
        assert lock.is_owned()
    assert not path.exists()


def test_a_zombie_is_dead(owner) -> None:
    process, path = owner
    process.kill()  # not reaped: it stays a zombie
    deadline = time.time() + 10
    while is_alive(path) and time.time() < deadline:
        time.sleep(0.01)
    assert not is_alive(path)


def write_owner(path: Path, **changes: object) -> None:
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "process_start": stat[19]}
    path.write_text(json.dumps(owner | {"token": "other"} | changes))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_later_process_with_the_same_id_is_not_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    write_owner(path)
    assert is_alive(path)
    write_owner(path, process_start="1")
    assert not is_alive(path)


def test_an_owner_on_another_host_is_judged_by_its_heartbeat(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    write_owner(path, host="elsewhere")
    assert is_alive(path)
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(path, (long_ago, long_ago))
    assert not is_alive(path)


def test_the_heartbeat_updates_the_modification_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmlab.storage.lock.HEARTBEAT_SECONDS", 0.02)
    path = tmp_path / "run.lock"
    with Lock(path):
        os.utime(path, (0, 0))
        deadline = time.time() + 10
        while path.stat().st_mtime < 1 and time.time() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 1


def test_only_one_of_many_processes_is_inside(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import os, sys, time
        from pathlib import Path
        from lmlab.storage.lock import Lock
        folder = Path(sys.argv[1])
        for _ in range(10):
            with Lock(folder / "x.lock"):
                os.mkdir(folder / "inside")  # fails if another is inside
                time.sleep(0.002)
                os.rmdir(folder / "inside")
    """)
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    assert [process.communicate()[1] for process in processes] == [b""] * 4
