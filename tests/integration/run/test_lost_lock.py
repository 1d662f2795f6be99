"""A process that was stopped, lost its lock to another and woke up ends, and overwrites nothing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from pathlib import Path

import pytest
from stacks import members
from warm import Process, start_command

from lmlab.config.compose import compose, to_yaml
from lmlab.errors import LockedError

THIEF = {"host": "thief", "pid": 7, "token": "other", "boot_id": "other", "since": 1.7e9}


def content(root: Path) -> dict[str, bytes]:
    """Every file below a folder except logs, which are only appended to."""
    files = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".log"]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def steal(process: Process, lock: Path) -> None:
    """Stop a process, and take its lock as a process elsewhere does: not during a write."""
    folder = os.open(lock.parent, os.O_RDONLY)
    try:
        while True:
            stop(process)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part = lock.with_name("stolen")
                part.write_text(json.dumps(THIEF))
                os.replace(part, lock)
                return
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
    finally:
        os.close(folder)


def stop(process: Process) -> None:
    """Stop a process; return when each of its threads has stopped, after its system call."""
    process.send_signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{process.pid}/task")
    while not all(map(is_stopped, tasks.iterdir())):
        time.sleep(0.001)


def is_stopped(task: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
        return (task / "stat").read_text().rpartition(")")[2].split()[0] in "TZX"
    return True


@pytest.mark.long
@pytest.mark.parametrize("kind", ["run", "stack"])
def test_a_run_that_wakes_up_without_its_lock_ends(overrides, tmp_path: Path, kind: str) -> None:
    more = [*overrides, "training.steps=100000", "training.log_every=1", "checkpoint.every_steps=1"]
    if kind == "run":
        name, arguments = "train", [*more, "arm=a", "runtime.preflight=off"]
    else:
        wanted = members([*more, "runtime.preflight=off"], tmp_path, a=["seed=0"], b=["seed=1"])
        files = [tmp_path / f"{index}.yaml" for index in range(2)]
        for file, own in zip(files, wanted, strict=True):
            file.write_text(to_yaml(compose(own)))
        name, arguments = "runs.stacked", [str(file) for file in files]
    folder = tmp_path / "outputs" / "runs" / "a" / "seed0"
    process = start_command(name, *arguments, cwd=tmp_path, together=True)
    try:
        deadline = time.monotonic() + 100
        while not list(folder.glob("checkpoints/step_00000003")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        steal(process, folder / "run.lock")
        before = content(folder)
        process.send_signal(signal.SIGCONT)
        if kind == "stack":  # the other run, which is still its own, goes on
            other = tmp_path / "outputs" / "runs" / "b" / "seed1" / "metrics.jsonl"
            size, deadline = other.stat().st_size, time.monotonic() + 100
            while other.stat().st_size < size + 2000:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
        code = process.wait(100)
        printed, _ = process.communicate()
    finally:
        process.kill()
    after = content(folder)
    # Parts that were half written when the process was stopped are its own to remove.
    assert {name: after.get(name) for name in before if ".tmp-" not in name} == {
        name: data for name, data in before.items() if ".tmp-" not in name
    }
    assert [name for name in after if name not in before] == []
    lines = [line for line in printed.splitlines() if "taken over by process 7 on thief" in line]
    assert len(lines) == 1 and lines[0].startswith("error: "), printed
    assert "Traceback" not in printed
    assert code == (LockedError.exit_code if kind == "run" else 128 + signal.SIGTERM)
