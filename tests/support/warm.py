"""Processes that start without importing torch again, which takes seconds.

They are forked from ``tests/support/warm_forkserver.py``. A command run here has its own process,
folder, environment, arguments, signals and exit code; it shares only the imports of the server. A
test about starting or importing starts Python itself.
"""

from __future__ import annotations

import atexit
import functools
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any


class Process:
    """A process forked from the server; used like :class:`subprocess.Popen`.

    Args:
        request: what :mod:`warm_forkserver` is to do.
        stdout: a file for what it prints.
        stderr: a file for its errors, which may be the same.
        server: a socket to the server; by default to that of the tests.
    """

    def __init__(
        self,
        request: Mapping[str, Any],
        stdout: IO[bytes],
        stderr: IO[bytes],
        server: socket.socket | None = None,
    ) -> None:
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None
        read, write = os.pipe()
        with tempfile.TemporaryFile() as file:
            pickle.dump(dict(request), file)
            file.flush()
            file.seek(0)
            files = [file.fileno(), stdout.fileno(), stderr.fileno(), write]
            socket.send_fds(server or _server(), [b"f"], files)
        os.close(write)
        self._status = read
        self.pid = int(self._line())

    def poll(self) -> int | None:
        """Its exit code; negative where a signal ended it, None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit code.

        Raises:
            subprocess.TimeoutExpired: it runs on after ``timeout`` seconds.
        """
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; what it printed on stdout and on stderr."""
        self.wait(timeout)
        printed = _read(self.stdout), _read(self.stderr)
        self.stdout.close()
        self.stderr.close()
        return printed

    def send_signal(self, number: int) -> None:
        """Send it a signal, while it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, while it runs."""
        self.send_signal(signal.SIGKILL)

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], seconds)[0]:
            self.returncode = int(self._line())
            os.close(self._status)
        return self.returncode

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            more = os.read(self._status, 1)
            assert more, "the server of warm processes has ended"
            line += more
        return line


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8")


def start_command(
    name: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    together: bool = False,
    session: bool = False,
) -> Process:
    """Start ``python -m lmlab.NAME ARGUMENTS``.

    Args:
        name: the module within lmlab; empty: ``python -m lmlab``.
        arguments: the rest of the command line.
        cwd: its folder.
        env: its complete environment; by default that of the tests.
        together: whether stderr goes to the same file as stdout.
        session: whether it leads a process group.
    """
    module = f"lmlab.{name}" if name else "lmlab"
    request = {"module": module, "arguments": arguments, **_environment(cwd, env, session)}
    stdout = _file()
    return Process(request, stdout, stdout if together else _file())


def run_command(
    name: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m lmlab.NAME ARGUMENTS`` and wait for its end."""
    process = start_command(name, *arguments, cwd=cwd, env=env)
    try:
        stdout, stderr = process.communicate(timeout)
    except BaseException:
        process.kill()
        raise
    return subprocess.CompletedProcess([name, *arguments], process.wait(), stdout, stderr)


def run_code(code: str, cwd: Path, env: Mapping[str, str], timeout: float = 300) -> tuple[int, str]:
    """Run a piece of Python; return its exit code and output."""
    output = _file()
    process = Process({"code": code, **_environment(cwd, env, False)}, output, output)
    try:
        printed, _ = process.communicate(timeout)
    except BaseException:
        process.kill()
        raise
    return process.wait(), printed


def call(function: Callable[..., None], *arguments: Any) -> Process:
    """Call a function of a module in a process whose output is that of the tests."""
    request = {"function": pickle.dumps((function, arguments)), "path": sys.path}
    with open(os.dup(1), "wb") as stdout, open(os.dup(2), "wb") as stderr:
        return Process(request | _environment(Path.cwd(), None, False), stdout, stderr)


def _environment(cwd: Path, env: Mapping[str, str] | None, session: bool) -> dict[str, Any]:
    environment = dict(os.environ if env is None else env)
    return {"folder": str(Path(cwd).resolve()), "environment": environment, "session": session}


@functools.cache
def _server() -> socket.socket:
    """Return a socket to the server, which starts at the first request and exits with the tests."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, str(Path(__file__).with_name("warm_forkserver.py"))]
    # Python reads its PYTHON* variables at start-up: those of a request would come too late, and
    # those of the tests would apply to every process.
    environment = {
        key: value for key, value in os.environ.items()
        if not key.startswith("PYTHON") or key in ("PYTHONPATH", "PYTHONHOME")
    }  # fmt: skip
    with theirs:
        server = subprocess.Popen(
            [*command, str(theirs.fileno())],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )  # fmt: skip
    atexit.register(server.wait)
    atexit.register(ours.close)
    return ours
