"""Decide whether a preempted job goes back into the queue, and put it there.

Slurm sends USR2 before a preemption and ``signal_seconds`` before the time limit. The run then
saves and exits with :data:`STOPPED_EXIT_CODE`; :func:`should_requeue` decides from the exit codes
of the job's runs, and :func:`requeue` asks Slurm. Jobs may be requeued any number of times, because
every session saves its progress.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Collection

from lmlab.errors import LockedError
from lmlab.runtime.signals import EarlySignalHandler

log = logging.getLogger("lmlab.slurm")
STOPPED_EXIT_CODE = 128 + signal.SIGUSR2
_RETRY_SECONDS = (1, 2, 4, 8, 15, 30)  # waits after a failure to reach the controller
_TERMINATION_SECONDS = 60


def catch_signals() -> tuple[EarlySignalHandler, EarlySignalHandler]:
    """Catch USR2 and TERM until a run takes over their handlers.

    Returns:
        The handlers of USR2 (save and exit, to be requeued) and of TERM (save and continue until
        killed).
    """
    stop, save = EarlySignalHandler(stops=True), EarlySignalHandler(stops=False)
    signal.signal(signal.SIGUSR2, stop)
    signal.signal(signal.SIGTERM, save)
    return stop, save


def should_requeue(exit_codes: Collection[int], stop_requested: bool) -> bool:
    """Return whether a job goes back into the queue.

    It does if one of its runs stopped for USR2, or if USR2 came while a run was waiting for the
    lock of a previous writer.

    Args:
        exit_codes: exit codes of the job's runs.
        stop_requested: whether USR2 came before a run handled signals.
    """
    return STOPPED_EXIT_CODE in exit_codes or (
        stop_requested and LockedError.exit_code in exit_codes
    )


def requeue() -> bool:
    """Ask Slurm to requeue this job, and wait to be terminated.

    Returns:
        False if Slurm did not requeue the job; otherwise Slurm ends this process.
    """
    # In an array, the number of the last job is that of the whole array.
    job_id = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    log.info("saved; requeueing job %s", job_id)
    for retry_seconds in _RETRY_SECONDS:
        try:
            subprocess.run(["scontrol", "requeue", job_id], check=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("scontrol requeue %s: %s", job_id, error)
            time.sleep(retry_seconds)
            continue
        # Exiting before Slurm ends this process would look like a failure.
        time.sleep(_TERMINATION_SECONDS)
        break
    return False
