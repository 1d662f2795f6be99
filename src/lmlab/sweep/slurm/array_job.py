"""``python -m lmlab.sweep.slurm.array_job <submission>``: one job of an array.

It brings its runs to their end. Its exit code is that of ``python -m lmlab.run``, so that Slurm
calls a failed run's job FAILED; its output is the run's log, with the traceback of a failure.

Where the job asked for several ranks, each of them is one such process: all train, and rank 0
alone writes and puts the job back into the queue.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmlab.errors import LockedError
from lmlab.runtime.launch_env import read_launch_env
from lmlab.runtime.signals import EarlySignalHandler
from lmlab.sweep.slurm.requeue import STOPPED_EXIT_CODE, listen, queue_again
from lmlab.sweep.submission_records import Assignment, Index, Submission

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_LOCK_WAIT_SECONDS = 180  # the writer of a node that failed counts as alive for a minute
_POLL_SECONDS = 0.2
_BY_SIGNAL = 128  # exit codes above it are those of runs that a signal stopped


def main(argv: Sequence[str]) -> int:
    """Bring the runs of this job to their end; the exit code of the first that did not."""
    told, warned = listen()
    submission = Submission(Path(argv[0]))
    index = int(os.environ["SLURM_ARRAY_TASK_ID"])
    world = read_launch_env()
    if not world.is_rank0:
        return _follow(submission, index, told)
    (submission.folder / f"end-{index}.json").unlink(missing_ok=True)
    runs = _own(submission, index)
    if len(runs) > 1:
        codes = _run_together(submission, runs, [told, warned])
    else:
        # Several ranks would have to try again together.
        patience = _LOCK_WAIT_SECONDS if world.size == 1 else 0
        codes = {run.frozen: _run(submission.folder / run.frozen, told, patience) for run in runs}
    stopped = STOPPED_EXIT_CODE in codes.values()
    if (stopped or (told.received and LockedError.exit_code in codes.values())) and queue_again():
        return 0
    submission.write_end(index, codes)
    return next((code for code in codes.values() if code), 0)


def _follow(submission: Submission, index: int, told: EarlySignalHandler) -> int:
    """Be a rank besides rank 0, which speaks for the job.

    One that stopped as it was told ends well, since a bad end would have Slurm end rank 0 too,
    before it has put the job back into the queue.
    """
    runs = _own(submission, index)
    codes = [_run(submission.folder / run.frozen, told, patience=0) for run in runs]
    return next((code for code in codes if 0 < code < _BY_SIGNAL), 0)


def _own(submission: Submission, index: int) -> list[Assignment]:
    """The runs of this job that no other submission has taken over since."""
    content = submission.read()
    owners = Index(Path(content["output_root"]))
    if content["job_id"] is None and read_launch_env().is_rank0:
        # The launcher was killed before it could write it.
        submission.know_id(os.environ["SLURM_ARRAY_JOB_ID"])
    mine = []
    for run in submission.runs():
        if run.index != index:
            continue
        owner = owners.owner(run.identity)
        if owner is None or owner[0].folder.resolve() == submission.folder.resolve():
            mine.append(run)
        else:
            print(f"{run.job.name} belongs to {owner[0].folder} now: nothing to do", flush=True)
    return mine


def _run(frozen: Path, told: EarlySignalHandler, patience: float) -> int:
    """Bring one run to its end; wait so many seconds where another process still has its lock."""
    from lmlab.run import main as run_frozen

    deadline = time.monotonic() + patience
    while True:
        code = run_frozen([str(frozen)])
        if code != LockedError.exit_code or told.received or time.monotonic() > deadline:
            return code
        time.sleep(5)


def _run_together(
    submission: Submission, runs: Sequence[Assignment], heard: Sequence[EarlySignalHandler]
) -> dict[str, int]:
    """A process a run, all at once, as the local launcher would start them; their exit codes."""
    from lmlab.sweep import worker_processes
    from lmlab.sweep.slots import Slot

    # The server that they are forked from must not end by a signal that is meant for them, and
    # keeps what is ignored now.
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _MEANT_FOR_RUNS}
    way: Any = worker_processes.context()
    for number, handler in handlers.items():
        signal.signal(number, handler)

    devices = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    processes: dict[str, BaseProcess] = {}
    for place, run in enumerate(runs):
        slot = Slot("cpu")
        if devices:
            name = devices[place % len(devices)]
            slot = Slot(f"cuda {name}", (("CUDA_VISIBLE_DEVICES", name),))
        log = submission.folder / f"{Path(run.frozen).stem}.log"
        frozen = submission.folder / run.frozen
        processes[run.frozen] = worker_processes.start(way, [frozen], log, slot, prepare=listen)
        print(f"{run.job.name}: {log}", flush=True)
    forwarded: set[int] = set()
    while any(process.exitcode is None for process in processes.values()):
        for number, signal_heard in zip(_MEANT_FOR_RUNS, heard, strict=True):
            if signal_heard.received and number not in forwarded:
                forwarded.add(number)
                for process in processes.values():
                    if process.exitcode is None and process.pid is not None:
                        os.kill(process.pid, number)
        time.sleep(_POLL_SECONDS)
    codes = {}
    for run in runs:
        code = processes[run.frozen].exitcode or 0
        if code:
            print(f"{run.job.name}: {worker_processes.how_it_ended(code)}", flush=True)
        # Below 0 it is a signal's: told as a shell does, which Slurm understands.
        codes[run.frozen] = code if code >= 0 else 128 - code
    return codes


_MEANT_FOR_RUNS = (signal.SIGUSR2, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
