"""The process from which those of ``tests/support/warm.py`` are forked: it has imported, and no more.

A process of a single thread that has computed nothing, so that a fork of it is as good as a fresh
Python. The fork unwinds to the end of this file, does there what was asked of it, and ends as any
Python does, by the same exit code or signal and after its threads and handlers at exit; only its
memory is not taken apart object by object, which takes seconds where all of it is shared.
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

# Besides lmlab's heads, what they import only once they are under way.
PRELOADED = (
    "lmlab.config.hydra_app", "lmlab.run", "lmlab.runs.load", "lmlab.training.generation", "lmlab.sweep.local_launch",
    "lmlab.study.learning_curve", "lmlab.study.write_report", "torch._inductor.config",
)  # fmt: skip


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each request; what to do in such a process, None where all is done."""
    wake, wakened = os.pipe()
    os.set_blocking(wakened, False)
    signal.set_wakeup_fd(wakened)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    under_way: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([requests, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            for process in list(under_way):
                _tell_the_end(process, under_way)
        if requests in ready:
            data, files, _, _ = socket.recv_fds(requests, 1, 4)
            if not data:
                return None
            asked, output, errors, told = files
            process = os.fork()
            if process == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, interrupt)
                for number in (wake, wakened, told, *under_way.values()):
                    os.close(number)
                requests.close()
                with open(asked, "rb") as file:
                    request: dict[str, Any] = pickle.load(file)
                _take_place(request, output, errors)
                return request
            os.write(told, b"%d\n" % process)
            under_way[process] = told
            for number in (asked, output, errors):
                os.close(number)


def _tell_the_end(process: int, under_way: dict[int, int]) -> None:
    ended, status = os.waitpid(process, os.WNOHANG)
    if ended:
        told = under_way.pop(process)
        with contextlib.suppress(BrokenPipeError):  # where no test waits for it
            os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(told)


def _take_place(request: dict[str, Any], output: int, errors: int) -> None:
    """Take on the folder, environment, files and search path of the request."""
    if request["session"]:
        os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, place in ((nothing, 0), (output, 1), (errors, 2)):
        os.dup2(number, place)
        os.close(number)
    own = request["environment"].get("PYTHONPATH", "")
    sys.path[:] = [request["folder"], *filter(None, own.split(os.pathsep)), *_STANDARD]


def lend_fork_server() -> None:
    """Spare a sweep's fork server the imports too: a fork made here, untouched, becomes it.

    It is a child of this process, as Python's own is, and ends with it.
    """
    ours, theirs = socket.socketpair()
    process = os.fork()
    if process == 0:
        ours.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as Python's has it, from the beginning
        data, files, _, _ = socket.recv_fds(theirs, 1 << 20, 16)
        if not data:
            os._exit(0)
        asked = pickle.loads(data)
        files = [fcntl.fcntl(file, fcntl.F_DUPFD, 100) for file in files]  # out of the way
        for file, number in zip(files, asked["files"], strict=True):
            os.dup2(file, number)
            os.close(file)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        exec(asked["code"], {"__name__": "__main__"})
        os._exit(0)
    theirs.close()
    start_program = util.spawnv_passfds

    def start(path: bytes, words: list[str], files: list[int]) -> int:
        if "multiprocessing.forkserver" not in words[-1]:
            return start_program(path, words, files)
        asked = {
            "code": words[-1], "files": files, "folder": os.getcwd(),
            "environment": dict(os.environ),
        }  # fmt: skip
        socket.send_fds(ours, [pickle.dumps(asked)], files)
        return process

    util.spawnv_passfds = start


def do(request: dict[str, Any]) -> None:
    """Run a module with its words, a piece of code, or a function with its arguments."""
    if request.get("module") == "lmlab.train":
        lend_fork_server()
    if "module" in request:
        sys.argv = [request["module"], *request["words"]]
        sys.orig_argv = [sys.executable, "-m", *sys.argv]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    elif "code" in request:
        exec(compile(request["code"], "<page>", "exec"), {"__name__": "__page__"})
    else:
        sys.path[:] = request["path"]
        function, arguments = pickle.loads(request["function"])
        function(*arguments)


def end_after(work: Callable[[], None]) -> NoReturn:
    """Do the work and end this process as Python ends."""
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
    # As of a fresh Python in no folder in particular.
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    _STANDARD = [entry for entry in sys.path[1:] if entry not in given]
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or each fork would copy what its collector looks through
    todo = serve(socket.socket(fileno=int(sys.argv[1])))
    if todo is None:
        os._exit(0)  # at once: the tests wait for it
    end_after(functools.partial(do, todo))
