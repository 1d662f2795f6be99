"""Hosts of one name on this machine: name spaces of process ids that share its files."""

from __future__ import annotations

import collections
import contextlib
import functools
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import warm
import warm_forkserver

UNSHARE = ["unshare", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
# Locks expire sooner there than usual.
HEARTBEAT_SECONDS, STALE_SECONDS = 0.3, 4.0


def refusal() -> str | None:
    """Return why this system lets us simulate no hosts; None where it does."""
    if sys.platform != "linux":
        return "name spaces of process ids need Linux"
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"unshare cannot be run: {error}"
    return f"unshare is refused: {done.stderr.strip()}" if done.returncode else None


class Host:
    """A name space of process ids whose first process forks the commands that run in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._start()

    def _start(self) -> None:
        self.socket, theirs = socket.socketpair()
        command = [*UNSHARE, sys.executable, __file__, str(theirs.fileno())]
        with theirs:
            self._unshare = subprocess.Popen(
                command, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True,
            )  # fmt: skip
        while not (found := children(self._unshare.pid)):
            time.sleep(0.01)
        self.first = found[0]
        self.namespace = os.readlink(f"/proc/{self.first}/ns/pid")

    def lose(self) -> None:
        """Kill the host with all its processes, and start it again."""
        os.kill(self.first, signal.SIGKILL)
        self._unshare.wait()
        self.socket.close()
        self._start()

    def stop(self) -> None:
        self.socket.close()
        self._unshare.wait()

    def start(self, arguments: list[str], folder: Path, output: Any) -> warm.Process:
        request = {
            "module": "lmlab.train", "arguments": arguments, "folder": str(folder),
            "environment": dict(os.environ), "session": True,
        }  # fmt: skip
        return warm.Process(request, output, output, self.socket)

    def processes(self) -> dict[int, int]:
        """Return the ids of its processes here, each with that on the host."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(path / "ns" / "pid") == self.namespace:
                    lines = (path / "status").read_text().splitlines()
                    numbers = next(line for line in lines if line.startswith("NSpid")).split()
                    if not any(line.startswith("State:\tZ") for line in lines):
                        found[int(path.name)] = int(numbers[-1])
            except (OSError, StopIteration):
                continue
        return found

    def roles(self, launch: warm.Process | None) -> dict[str, list[int]]:
        """Return the processes by role; a job is a child of a fork server."""
        found = self.processes()
        driver = [here for here, there in found.items() if launch and there == launch.pid]
        roles = collections.defaultdict(list, {"driver": driver})
        servers = [one for parent in driver for one in children(parent) if not is_tracker(one)]
        roles["fork server"] = servers
        roles["job"] = [one for parent in servers for one in children(parent)]
        known = {self.first, *driver, *servers, *roles["job"]}
        roles["orphan"] = [one for one in found if one not in known and not is_tracker(one)]
        return roles


def children(parent: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{parent}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:
        return []


def is_tracker(process: int) -> bool:
    try:
        return b"resource_tracker" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return True


def poll(process: warm.Process) -> int | None:
    try:
        return process.poll()
    except AssertionError:  # its host was lost
        return -signal.SIGKILL


def send(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def serve(number: int) -> None:
    """Be the first process of a host: fork each command that is asked for."""
    socket.sethostname("host")  # both have this name, as containers may
    for name in warm_forkserver.PRELOADED:
        importlib.import_module(name)
    from lmlab.storage import lock, lock_file

    lock.HEARTBEAT_SECONDS, lock_file.STALE_SECONDS = HEARTBEAT_SECONDS, STALE_SECONDS
    warm_forkserver._STANDARD = sys.path[1:]  # type: ignore[attr-defined]
    gc.collect()
    gc.freeze()
    request = warm_forkserver.serve(socket.socket(fileno=number))
    if request is None:
        os._exit(0)
    warm_forkserver.exit_after(functools.partial(warm_forkserver.execute, request))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
