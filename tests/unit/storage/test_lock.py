from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from simulated_hosts import UNSHARE, refusal

from lmlab.errors import DiskError, LockedError, LostLockError
from lmlab.storage.io import append_jsonl, atomic_write_text
from lmlab.storage.lock import Lock, is_alive
from lmlab.storage.lock_file import STALE_SECONDS
from lmlab.storage.process_identity import boot_id, pid_namespace

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
    owner = {
        "host": socket.gethostname(), "pid": os.getpid(), "process_start": stat[19],
        "token": "other", "boot_id": boot_id(), "pid_namespace": pid_namespace(),
    }  # fmt: skip
    path.write_text(json.dumps(owner | changes))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_later_process_with_the_same_id_is_not_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    write_owner(path)
    assert is_alive(path)
    write_owner(path, process_start="1")
    assert not is_alive(path)


OTHERS = {
    "another boot": {"boot_id": "0" * 32},
    "another container": {"pid_namespace": "pid:[1]"},
    "another host": {"host": "elsewhere", "boot_id": None, "pid_namespace": None},
    "an earlier version": {"process_start": "1", "boot_id": None, "pid_namespace": None},
}


@pytest.mark.parametrize("other", OTHERS)
def test_an_owner_that_cannot_be_seen_is_judged_by_its_heartbeat(
    tmp_path: Path, other: str
) -> None:
    path = tmp_path / "run.lock"
    write_owner(path, **OTHERS[other])  # of this host's name, with the id of a live process or not
    assert is_alive(path)
    message = r"written by process \d+ on .*\nhelp: .*last sign of life .* delete .*run\.lock"
    with pytest.raises(LockedError, match=message), Lock(path, wait=False):
        pass
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(path, (long_ago, long_ago))
    assert not is_alive(path)
    with Lock(path, wait=False) as lock:
        assert lock.is_owned()


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


def test_containers_of_one_host_name_are_told_apart(tmp_path: Path) -> None:
    """The id of the owner in its container is that of no process here, or of another one."""
    reason = refusal()
    if reason is not None:
        pytest.skip(reason)
    path = tmp_path / "run.lock"
    program = [sys.executable, "-c", textwrap.dedent(OWNER), str(path)]
    with subprocess.Popen([*UNSHARE, *program], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == b"locked\n"
        record = json.loads(path.read_text())
        assert (record["host"], record["boot_id"]) == (socket.gethostname(), boot_id())
        assert record["pid"] < 10
        assert is_alive(path)
        with pytest.raises(LockedError, match=rf"process {record['pid']} on .* since 20"):
            Lock(path, wait=False).__enter__()
        assert json.loads(path.read_text()) == record
        owner.kill()


def test_a_lock_of_the_future_is_taken_unless_its_owner_renews_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lmlab.storage.lock.HEARTBEAT_SECONDS", 0.3)
    monkeypatch.setattr("lmlab.storage.lock.PATIENCE_SECONDS", 0.2)
    path = tmp_path / "run.lock"
    write_owner(path, host="elsewhere", boot_id="other")
    ahead = time.time() + 1e8
    os.utime(path, (ahead, ahead))
    with Lock(path, wait=False) as lock:
        assert lock.is_owned()
    assert "is dated in the future; watching" in caplog.text
    write_owner(path, host="elsewhere", boot_id="other")
    os.utime(path, (ahead, ahead))
    threading.Timer(0.5, os.utime, (path,)).start()  # the owner lives, and the clock is set now
    with pytest.raises(LockedError, match="elsewhere"), Lock(path, wait=False):
        pass


def odd_content() -> dict[str, bytes]:
    whole = {"host": socket.gethostname(), "pid": os.getpid(), "token": "a", "process_start": "1"}
    found = {f"no {name}": json.dumps({**whole, name: None}).encode() for name in list(whole)[:3]}
    for value in (-1, 0, 10**40, True, "12", [], {}, 1.5):
        found[f"pid {value!r}"[:20]] = json.dumps(whole | {"pid": value}).encode()
    return found | {
        "empty": b"", "garbage": bytes(range(256)), "null": b"null", "list": b"[1]",
        "deep": b"[" * 60_000, "zeros": bytes(4096), "number": b"1" * 6000, "other": b'{"a": 1}',
    }  # fmt: skip


@pytest.mark.parametrize("content", odd_content().values(), ids=odd_content())
def test_a_lock_file_without_an_owner_is_taken(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.lock"
    path.write_bytes(content)
    assert not is_alive(path)
    with Lock(path, wait=False) as lock:
        assert lock.is_owned()
        assert is_alive(path)
    assert not path.exists()


PLACES = {
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "to a folder": lambda path: path.symlink_to(path.parent),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_lock_file_is_replaced(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("run.lock")  # short enough for the name of a socket
    PLACES[place](path)
    assert not is_alive(path)
    with Lock(path, wait=False) as lock:
        assert lock.is_owned()
        assert path.is_file() and not path.is_symlink()
    assert os.listdir() == []


def test_a_folder_in_the_place_of_a_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.mkdir()
    assert not is_alive(path)
    with pytest.raises(
        DiskError, match=r"run\.lock: expected a lock file, .*\nhelp: delete it \(rm"
    ):
        Lock(path).__enter__()
    assert [one.name for one in tmp_path.iterdir()] == ["run.lock"]


def test_a_long_wait_says_on_whom(
    owner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process, path = owner
    monkeypatch.setattr("lmlab.storage.lock.PATIENCE_SECONDS", 0.1)
    process.send_signal(signal.SIGSTOP)
    threading.Timer(0.4, process.kill).start()
    with Lock(path):
        pass
    assert f"held by process {process.pid} on {socket.gethostname()} since 20" in caplog.text
    assert f"it is stopped: continue it (kill -CONT {process.pid}) or end it" in caplog.text
    assert len(caplog.records) == 1


def test_a_process_stopped_while_it_takes_a_lock_holds_up_no_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmlab.storage.lock._GUARD_SECONDS", 0.3)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(
        LockedError, match=rf"process {os.getpid()} has been writing or taking a lock"
    ):
        Lock(tmp_path / "run.lock", wait=False).__enter__()
    os.close(descriptor)


def test_a_lock_that_cannot_be_read_is_assumed_to_be_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example by a process without a free file descriptor."""
    path = tmp_path / "run.lock"
    with Lock(path) as lock:
        opened, attempts = os.open, []

        def refuse(file: object, *rest: int) -> int:
            attempts.append(file)
            if file == path and len(attempts) < 4:
                raise OSError(errno.EMFILE, "Too many open files")
            return opened(file, *rest)

        monkeypatch.setattr("lmlab.storage.lock_file.os.open", refuse)
        assert is_alive(path)
        lock.raise_if_lost()
        assert len(attempts) == 4, "read again until it can be read"


def test_the_parts_of_killed_takers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    write_owner(tmp_path / f".run.lock.{'a' * 32}", process_start="1")
    kept = [tmp_path / name for name in ("run.lock.bak", ".run.lock.mine", f".run.lock.{'b' * 32}")]
    for path in kept:
        write_owner(path)  # the last one is that of a live process
    with Lock(tmp_path / "run.lock"):
        pass
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def lose(path: Path) -> None:
    write_owner(path, host="thief", pid=7, since=1.7e9)


def test_who_lost_the_lock_writes_nothing_more(tmp_path: Path) -> None:
    folder, rows = tmp_path / "run", tmp_path / "run" / "rows.jsonl"
    path = folder / "run.lock"
    inner = folder / "deeper" / "status.json"
    taken_over = pytest.raises(
        LostLockError, match=r"run: taken over by process 7 on thief since 20"
    )
    with taken_over, Lock(path, protects=folder):
        atomic_write_text(inner, "mine")
        append_jsonl(rows, {"step": 1})
        lose(path)
        for write in (
            lambda: append_jsonl(rows, {"step": 2}),
            lambda: atomic_write_text(inner, "still mine"),
            lambda: atomic_write_text(folder / "new", ""),
        ):
            with pytest.raises(LostLockError):
                write()
        atomic_write_text(tmp_path / "elsewhere", "is free")
        atomic_write_text(tmp_path / "run-2", "has a name that begins alike")
        atomic_write_text(inner, "last")
    assert inner.read_text() == "mine"
    assert rows.read_text() == '{"step": 1}\n'
    assert sorted(one.name for one in folder.iterdir()) == ["deeper", "rows.jsonl", "run.lock"]
    assert [one.name for one in inner.parent.iterdir()] == ["status.json"]
    assert json.loads(path.read_text())["host"] == "thief", "the new owner keeps its lock"
    atomic_write_text(inner, "after the lock")


def test_a_removed_lock_is_lost_too(tmp_path: Path) -> None:
    removed = pytest.raises(LostLockError, match=r"\(run\.lock was removed or altered\)")
    with removed, Lock(tmp_path / "run.lock", protects=tmp_path):
        (tmp_path / "run.lock").unlink()
        atomic_write_text(tmp_path / "status.json", "")


def test_no_process_takes_the_lock_during_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is stopped between its check and its write still owns what it writes."""
    monkeypatch.setattr("lmlab.storage.lock._GUARD_SECONDS", 0.1)
    folder = tmp_path / "run"
    path, replace, written = folder / "run.lock", os.replace, []

    def replace_late(source: Path, target: Path) -> None:
        with monkeypatch.context() as elsewhere:  # where the writer shows no sign of life
            elsewhere.setattr("lmlab.storage.lock_file.boot_id", lambda: "of another host")
            os.utime(path, (0, 0))
            with pytest.raises(LockedError, match="has been writing or taking a lock"):
                Lock(path, wait=False).__enter__()
        written.append(target.name)
        replace(source, target)

    with Lock(path, protects=folder) as lock:
        with monkeypatch.context() as stopped:
            stopped.setattr(os, "replace", replace_late)
            atomic_write_text(folder / "status.json", "mine")
        assert lock.is_owned()
        append_jsonl(folder / "rows.jsonl", {"step": 1})
    assert written == ["status.json"]


def test_a_process_stopped_while_it_takes_a_lock_ends_no_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmlab.storage.lock._GUARD_SECONDS", 0.2)
    rows = tmp_path / "rows.jsonl"
    with Lock(tmp_path / "run.lock", protects=tmp_path):
        descriptor = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        started = time.monotonic()
        for step in range(20):
            append_jsonl(rows, {"step": step})
        assert time.monotonic() - started < 2, "only the first write waits"
        os.close(descriptor)
    assert [json.loads(line)["step"] for line in rows.read_text().splitlines()] == [*range(20)]
