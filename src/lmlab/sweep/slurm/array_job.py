"""``python -m lmlab.sweep.slurm.array_job <submission>``: one job of an array.

Trains the runs of the job. Its exit code is that of ``python -m lmlab.run``, so Slurm reports the
job of a failed run as FAILED. Its output is the log of the run, with the traceback of a failure.

If the job has several ranks, each is one such process: all train, and only rank 0 writes and
requeues the job.

A batch script names this module, but imports it from the code snapshot of its submission. Waiting
jobs that an earlier version submitted therefore run that version, even after modules have moved.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmlab.errors import DataError, LockedError
from lmlab.runtime.launch_env import print_error, read_launch_env
from lmlab.runtime.signals import EarlySignalHandler
from lmlab.sweep.slurm.requeue import catch_signals, requeue, should_requeue
from lmlab.sweep.slurm.slurm_records import run_owners
from lmlab.sweep.submission_records import Assignment, Submission

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_LOCK_WAIT_SECONDS = 180  # the writer of a failed node counts as alive for a minute
_LOCK_POLL_SECONDS = 5
_POLL_SECONDS = 0.2
_FIRST_SIGNAL_EXIT_CODE = 128  # higher exit codes are those of runs that a signal stopped
_FORWARDED_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)


def main(arguments: Sequence[str]) -> int:
    """Train the runs of this job; return the first exit code that is not 0."""
    try:
        return _train_runs(arguments)
    except DataError as error:  # its record is damaged; a run reports its own errors
        print_error(error)
        return error.exit_code


def _train_runs(arguments: Sequence[str]) -> int:
    stop, save = catch_signals()
    submission = Submission(Path(arguments[0]))
    index = int(os.environ["SLURM_ARRAY_TASK_ID"])
    launch = read_launch_env()
    if not launch.is_rank0:
        return _run_as_worker_rank(submission, index, stop)
    submission.remove_exit_codes(index)
    runs = _owned_runs(submission, index)
    if len(runs) > 1:
        codes = _run_concurrently(submission, runs, [stop, save])
    else:
        # Several ranks would have to retry together.
        lock_wait = _LOCK_WAIT_SECONDS if launch.size == 1 else 0
        codes = {run.frozen: _run(submission.folder / run.frozen, stop, lock_wait) for run in runs}
    if should_requeue(codes.values(), stop_requested=stop.received) and requeue():
        return 0
    submission.write_exit_codes(index, codes)
    return next((code for code in codes.values() if code), 0)


def _run_as_worker_rank(submission: Submission, index: int, stop: EarlySignalHandler) -> int:
    """Train as a rank other than rank 0, which is responsible for the job.

    A rank that a signal stopped exits with 0: otherwise Slurm would end rank 0 before it has
    requeued the job.
    """
    runs = _owned_runs(submission, index)
    codes = [_run(submission.folder / run.frozen, stop, lock_wait=0) for run in runs]
    return next((code for code in codes if 0 < code < _FIRST_SIGNAL_EXIT_CODE), 0)


def _owned_runs(submission: Submission, index: int) -> list[Assignment]:
    """Return the runs of this job that no later submission owns."""
    content = submission.submitted()
    owners = run_owners(Path(content.get("output_root", submission.output_root)))
    if content["job_id"] is None and read_launch_env().is_rank0:
        # The launcher was killed between submitting the array and recording its number.
        submission.set_job_id(os.environ["SLURM_ARRAY_JOB_ID"])
    owned = []
    for run in submission.runs():
        if run.index != index:
            continue
        owner = owners.owner(run.identity)
        if owner is None or owner[0].folder.resolve() == submission.folder.resolve():
            owned.append(run)
        else:
            print(f"{run.job.name}: now trained by {owner[0].folder}; skipping", flush=True)
    return owned


def _run(config_file: Path, stop: EarlySignalHandler, lock_wait: float) -> int:
    """Train one run; retry for ``lock_wait`` seconds while another process holds its lock."""
    from lmlab.run import main as run_frozen

    deadline = time.monotonic() + lock_wait
    while True:
        code = run_frozen([str(config_file)])
        if code != LockedError.exit_code or stop.received or time.monotonic() > deadline:
            return code
        time.sleep(_LOCK_POLL_SECONDS)


def _run_concurrently(
    submission: Submission, runs: Sequence[Assignment], early_signals: Sequence[EarlySignalHandler]
) -> dict[str, int]:
    """Train all runs at once, one process each, as the local launcher does.

    Args:
        submission: submission of this job.
        runs: the runs.
        early_signals: handlers of :data:`_FORWARDED_SIGNALS` in this process.

    Returns:
        Exit codes by configuration file.
    """
    from lmlab.sweep.worker_processes import describe_exit

    processes = _start_processes(submission, runs)
    _wait_forwarding_signals(list(processes.values()), early_signals)
    codes = {}
    for run in runs:
        code = processes[run.frozen].exitcode or 0
        if code:
            print(f"{run.job.name}: {describe_exit(code)}", flush=True)
        # Report death by a signal as a shell does, which Slurm understands.
        codes[run.frozen] = code if code >= 0 else 128 - code
    return codes


def _start_processes(submission: Submission, runs: Sequence[Assignment]) -> dict[str, BaseProcess]:
    from lmlab.sweep import worker_processes
    from lmlab.sweep.slots import Slot

    # The fork server must survive the signals for its runs, and keeps what is ignored now.
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _FORWARDED_SIGNALS}
    context: Any = worker_processes.make_context()
    for number, handler in handlers.items():
        signal.signal(number, handler)

    devices = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    processes: dict[str, BaseProcess] = {}
    for position, run in enumerate(runs):
        slot = Slot("cpu")
        if devices:
            name = devices[position % len(devices)]
            slot = Slot(f"cuda {name}", (("CUDA_VISIBLE_DEVICES", name),))
        log = submission.folder / f"{Path(run.frozen).stem}.log"
        config_file = submission.folder / run.frozen
        processes[run.frozen] = worker_processes.start(
            context, [config_file], log, slot, prepare=catch_signals
        )
        print(f"{run.job.name}: {log}", flush=True)
    return processes


def _wait_forwarding_signals(
    processes: Sequence[BaseProcess], early_signals: Sequence[EarlySignalHandler]
) -> None:
    """Wait for all processes; forward each signal once to those that still run."""
    forwarded: set[int] = set()
    while any(process.exitcode is None for process in processes):
        for number, early_signal in zip(_FORWARDED_SIGNALS, early_signals, strict=True):
            if early_signal.received and number not in forwarded:
                forwarded.add(number)
                for process in processes:
                    if process.exitcode is None and process.pid is not None:
                        os.kill(process.pid, number)
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
