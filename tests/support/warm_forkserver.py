"""The server from which the processes of ``tests/support/warm.py`` are forked.

It has a single thread, has imported modules and has computed nothing, so a fork of it behaves like
a fresh Python. The fork unwinds to the end of this file and executes its request there. It exits as
Python does: after its threads and exit handlers, with the same exit code or signal. Only its memory
is not freed object by object, which takes seconds for shared memory.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import os
import pickle
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing import util
from typing import Any, NoReturn

# The commands of lmlab, and modules that they import only later.
PRELOADED = (
    "lmlab.config.hydra_app", "lmlab.run", "lmlab.runs.load", "lmlab.training.generation",
    "lmlab.sweep.local_launch", "lmlab.study.learning_curve", "lmlab.study.write_report",
    "torch._inductor.config",
)  # fmt: skip


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each request.

    Returns:
        In a forked process, its request; in the server, None when the tests have exited.
    """
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([requests, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            for process in list(running):
                _send_exit_code(process, running)
        if requests in ready:
            data, files, _, _ = socket.recv_fds(requests, 1, 4)
            if not data:
                return None
            request_file, output, errors, status = files
            process = os.fork()
            if process == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, interrupt)
                for number in (wake_read, wake_write, status, *running.values()):
                    os.close(number)
                requests.close()
                with open(request_file, "rb") as file:
                    request: dict[str, Any] = pickle.load(file)
                _enter_environment(request, output, errors)
                return request
            os.write(status, b"%d\n" % process)
            running[process] = status
            for number in (request_file, output, errors):
                os.close(number)


def _send_exit_code(process: int, running: dict[int, int]) -> None:
    exited, wait_status = os.waitpid(process, os.WNOHANG)
    if exited:
        status = running.pop(process)
        with contextlib.suppress(BrokenPipeError):  # no test waits for it
            os.write(status, b"%d\n" % os.waitstatus_to_exitcode(wait_status))
        os.close(status)


def _enter_environment(request: dict[str, Any], output: int, errors: int) -> None:
    """Set the folder, environment, files and search path of the request."""
    if request["session"]:
        os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    null = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((null, 0), (output, 1), (errors, 2)):
        os.dup2(number, target)
        os.close(number)
    python_path = request["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [request["folder"], *filter(None, python_path), *_STANDARD]


def lend_fork_server() -> None:
    """Spare the fork server of a sweep the imports, too: a fork made here becomes that server.

    Like Python's own fork server, it is a child of this process and exits with it.
    """
    ours, theirs = socket.socketpair()
    process = os.fork()
    if process == 0:
        ours.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as Python's fork server does
        data, files, _, _ = socket.recv_fds(theirs, 1 << 20, 16)
        if not data:
            os._exit(0)
        request = pickle.loads(data)
        files = [
            fcntl.fcntl(file, fcntl.F_DUPFD, 100) for file in files
        ]  # above the numbers that it asks for
        for file, number in zip(files, request["files"], strict=True):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        exec(request["code"], {"__name__": "__main__"})
        os._exit(0)
    theirs.close()
    start_program = util.spawnv_passfds

    def start(path: bytes, arguments: list[str], files: list[int]) -> int:
        if "multiprocessing.forkserver" not in arguments[-1]:
            return start_program(path, arguments, files)
        request = {
            "code": arguments[-1], "files": files, "folder": os.getcwd(),
            "environment": dict(os.environ),
        }  # fmt: skip
        try:
            socket.send_fds(ours, [pickle.dumps(request)], files)
        except BrokenPipeError:  # it was killed, or is used up
            return start_program(path, arguments, files)
        return process

    util.spawnv_passfds = start


def execute(request: dict[str, Any]) -> None:
    """Run a module or call a function with arguments, or run a piece of code."""
    if request.get("module") == "lmlab.train":
        lend_fork_server()
    if "module" in request:
        sys.argv = [request["module"], *request["arguments"]]
        sys.orig_argv = [sys.executable, "-m", *sys.argv]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    elif "code" in request:
        exec(compile(request["code"], "<page>", "exec"), {"__name__": "__page__"})
    else:
        sys.path[:] = request["path"]
        function, arguments = pickle.loads(request["function"])
        function(*arguments)


def exit_after(work: Callable[[], None]) -> NoReturn:
    """Do the work, then exit as Python does."""
    code: object = 0
    try:
        work()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        traceback.print_exc()
        code = -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    # The search path of a fresh Python, without the folder of this script.
    python_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    _STANDARD = [entry for entry in sys.path[1:] if entry not in python_path]
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # otherwise each fork copies the memory that its collector visits
    received = serve(socket.socket(fileno=int(sys.argv[1])))
    if received is None:
        os._exit(0)  # at once: the tests wait for it
    exit_after(functools.partial(execute, received))
