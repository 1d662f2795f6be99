"""What a process of Slurm's job does when it is told to end, and how it is queued again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time

from lmlab.runtime.signals import EarlySignalHandler

log = logging.getLogger("lmlab.slurm")
STOPPED_EXIT_CODE = 128 + signal.SIGUSR2
_PATIENCE_SECONDS = 60


def listen() -> tuple[EarlySignalHandler, EarlySignalHandler]:
    """Keep USR2 (save, be queued again) and TERM (save, go on until killed) for the run."""
    told, warned = EarlySignalHandler(stops=True), EarlySignalHandler(stops=False)
    signal.signal(signal.SIGUSR2, told)
    signal.signal(signal.SIGTERM, warned)
    return told, warned


def queue_again() -> bool:
    """Let Slurm queue this job again, and wait for the end that this brings; False if it fails.

    There is no limit to how often: every session saved what it did.
    """
    # Of an array, the number alone may mean all its jobs.
    job_id = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    log.info("saved; job %s goes back into the queue", job_id)
    for attempt in range(4):
        try:
            subprocess.run(["scontrol", "requeue", job_id], check=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("scontrol requeue %s: %s", job_id, error)
            time.sleep(2**attempt)
            continue
        # Slurm ends this process. An end of its own meanwhile would look like a failure.
        time.sleep(_PATIENCE_SECONDS)
        break
    return False
