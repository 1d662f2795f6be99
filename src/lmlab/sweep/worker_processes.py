"""One process a job. Torch is imported once; every job is forked from there.

Python's fork server is a process of a single thread that has imported what a run needs and has
computed nothing, so that a fork of it is as good as a fresh process, and ready at once. On macOS,
whose system libraries do not survive a fork, each job is a fresh process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from lmlab.sweep.slots import Slot

_WATCH_SECONDS = 0.5


def context() -> Any:
    """The way in which processes are started here."""
    if sys.platform == "darwin":
        return multiprocessing.get_context("spawn")
    forking = multiprocessing.get_context("forkserver")
    # Setting torch's determinism imports its compiler, about a second of processor time a job.
    forking.set_forkserver_preload(["lmlab.runs.stacked.__main__", "torch._inductor.config"])
    _start_server()
    return forking


def _start_server() -> None:
    """Start the fork server deaf to Ctrl-C, which it ignores only once it has imported all."""
    resource_tracker.ensure_running()  # now, since it ends with SIGINT unblocked
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    forkserver.ensure_running()
    hear_interrupts()


def hear_interrupts() -> None:
    """Unblock Ctrl-C, to which a process begins as deaf as the server that it is forked from."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def start(
    way: Any,
    frozen: Sequence[Path],
    log: Path,
    slot: Slot,
    prepare: Callable[[], object] | None = None,
) -> BaseProcess:
    """Start the run of a frozen configuration, or a stack of several.

    Args:
        way: of :func:`context`.
        frozen: the configurations' files; several train as one.
        log: takes what the process prints.
        slot: where it runs.
        prepare: a module's function, called in the process before the run.
    """
    files = [str(path.resolve()) for path in frozen]
    process: BaseProcess = way.Process(
        target=_work, args=(files, str(log.resolve()), slot, prepare)
    )
    process.start()
    return process


def _work(frozen: list[str], log: str, slot: Slot, prepare: Callable[[], object] | None) -> None:
    if prepare is not None:
        prepare()
    slot.enter()
    with open(log, "ab") as output, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    hear_interrupts()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    from tqdm import tqdm

    from lmlab import run
    from lmlab.runs.stacked import __main__ as stack

    # Its own lock, a semaphore of the system, would be reported as leaked by each killed job.
    tqdm.set_lock(threading.RLock())
    code = run.main(frozen) if len(frozen) == 1 else stack.main(frozen)
    sys.stdout.flush()
    sys.exit(code)


def _end_with(parent: int) -> None:
    """Let the run save and stop when the sweep's process is gone, whatever ended that."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def how_it_ended(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code < 0:
        number = -exit_code
        told = f"killed by signal {number} ({signal.Signals(number).name})"
        return f"{told}, perhaps for want of memory" if number == signal.SIGKILL else told
    return f"ended with exit code {exit_code} before the run was done"
