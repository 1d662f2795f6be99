"""One process per job, forked from a server that has imported torch.

Python's fork server is a single-threaded process that has imported what a run needs and computed
nothing: a fork of it is as good as a fresh process and starts at once. On macOS, whose system
libraries do not survive a fork, each job is a fresh process.
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

_SAVING_SECONDS = 120.0  # how long a run without a launcher may take to save and exit


def make_context() -> Any:
    """Return the multiprocessing context of worker processes; start the fork server."""
    if sys.platform == "darwin":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Enabling torch's determinism imports its compiler: about a second of CPU time per job. The
    # code is compared with its record when it is imported; it may be edited while jobs start.
    context.set_forkserver_preload(
        ["lmlab.runs.stacked.__main__", "torch._inductor.config", "lmlab.build.loaded_code"]
    )
    _start_fork_server()
    return context


def _start_fork_server() -> None:
    """Start the fork server with SIGINT blocked: it ignores Ctrl-C only once it has imported."""
    resource_tracker.ensure_running()  # first, because it returns with SIGINT unblocked
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    forkserver.ensure_running()
    unblock_interrupts()


def unblock_interrupts() -> None:
    """Unblock SIGINT, which a process inherits as blocked from the fork server."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def start(
    context: Any,
    config_files: Sequence[Path],
    log: Path,
    slot: Slot,
    prepare: Callable[[], object] | None = None,
) -> BaseProcess:
    """Start a run, or a stack of several.

    Args:
        context: result of :func:`make_context`.
        config_files: frozen configurations; several train as one stack.
        log: file for the output of the process.
        slot: where the process runs.
        prepare: a module-level function to call in the process before the run.
    """
    files = [str(path.resolve()) for path in config_files]
    process: BaseProcess = context.Process(
        target=_run_worker, args=(files, str(log.resolve()), slot, prepare)
    )
    process.start()
    return process


def _run_worker(
    config_files: list[str], log: str, slot: Slot, prepare: Callable[[], object] | None
) -> None:
    threading.Thread(target=_stop_with_launcher, daemon=True).start()
    if prepare is not None:
        prepare()
    slot.apply_to_process()
    with open(log, "ab") as output, open(os.devnull, "rb") as empty:
        os.dup2(empty.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    unblock_interrupts()
    from tqdm import tqdm

    from lmlab import run
    from lmlab.config.job_hooks import set_sweep_log_level
    from lmlab.runs.stacked import __main__ as stack

    # The default lock of tqdm is a system semaphore, reported as leaked by each killed job.
    tqdm.set_lock(threading.RLock())
    set_sweep_log_level(Path(config_files[0]))
    code = run.main(config_files) if len(config_files) == 1 else stack.main(config_files)
    sys.stdout.flush()
    sys.exit(code)


def _stop_with_launcher() -> None:
    """Let the run save and stop when the process that started it has ended for any reason.

    That process is not the system's parent, which is the fork server: workers keep it alive. It
    holds the other end of a pipe, which the system closes even after SIGKILL.
    """
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    launcher.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SAVING_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)  # it hangs, or waits for a lock


def describe_exit(exit_code: int) -> str:
    """Describe the exit code of a process whose run is not done."""
    if exit_code < 0:
        number = -exit_code
        description = f"killed by signal {number} ({signal.Signals(number).name})"
        is_kill = number == signal.SIGKILL
        return f"{description}, possibly out of memory" if is_kill else description
    return f"exited with code {exit_code} before the run was done"
