"""Run the commands of Slurm so that only their arguments decide what they do.

Slurm's commands read hundreds of environment variables: defaults of their options (``SBATCH_*``,
``SQUEUE_*``, ``SACCT_*``; see "Input environment variables" of each manual page), and the
description of the job in whose environment they run (``SLURM_*``), which sbatch passes on to the
new job. ``SBATCH_TIMELIMIT`` beats the ``#SBATCH`` lines of a script, ``SQUEUE_PARTITION`` hides
jobs, and ``SLURM_MEM_PER_CPU`` of an interactive job breaks srun in a job with ``--mem``.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import subprocess
import threading
from collections.abc import Mapping

_TIMEOUT_SECONDS = 60
_INPUT_VARIABLES = re.compile(
    r"(SLURM|SLURMD|SBATCH|SALLOC|SRUN|SQUEUE|SACCT|SACCTMGR|SCONTROL|SCANCEL)_"
)
# How to reach and authenticate to the controller.
_CONNECTION = re.compile(r"SLURM_(CONF|CONF_SERVER|JWT|SACK_\w+)$")
_TRANSIENT = re.compile(
    r"unable to contact|timed out|unexpected message received|connection (refused|reset|failure)"
    r"|communication (connection )?failure|zero bytes were transmitted|incomplete (message|header)"
    r"|try again|backup controller|credential|slurm_persist_conn|insane message length"
    r"|resource temporarily unavailable|in standby",
    re.IGNORECASE,
)

# sbatch says so and sleeps, for minutes in all, while the controller has its most jobs.
_RETRYING = re.compile(r"sleeping and retrying")


class UnreachableError(Exception):
    """Slurm does not respond, so the state of jobs is unknown."""


class RefusedError(Exception):
    """Slurm responded, and refused the request."""


def command_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment without the input variables of Slurm's commands."""
    return {
        key: value
        for key, value in environment.items()
        if _CONNECTION.match(key) or not _INPUT_VARIABLES.match(key)
    }


def run_command(*command: str) -> str:
    """Return what a command of Slurm prints.

    Raises:
        UnreachableError: the command or the controller does not respond.
        RefusedError: Slurm knows no such job, or refused the request.
    """
    try:
        process = subprocess.Popen(
            command,
            env=command_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise UnreachableError(f"{command[0]}: {error}") from error
    timer = threading.Timer(_TIMEOUT_SECONDS, process.kill)
    timer.start()
    try:
        printed, errors = _read(process)
    finally:
        timer.cancel()
    if process.returncode == 0:
        return printed
    lines = [line.strip() for line in f"{errors}\n{printed}".splitlines()]
    text = "; ".join(dict.fromkeys(filter(None, lines)))
    if process.returncode < 0 and not text:
        raise UnreachableError(f"{command[0]}: no answer in {_TIMEOUT_SECONDS} seconds")
    if _TRANSIENT.search(text) and not _RETRYING.search(text):
        raise UnreachableError(f"{command[0]}: {text}")
    raise RefusedError(text or f"{command[0]}: exit code {process.returncode}")


def _read(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return the output and the errors of a process; end it when it waits for room in a queue."""
    assert process.stdout is not None and process.stderr is not None
    with process, concurrent.futures.ThreadPoolExecutor(1) as pool:
        printed = pool.submit(process.stdout.read)
        errors = []
        for line in process.stderr:
            errors.append(line)
            if _RETRYING.search(line):
                process.kill()
        return printed.result(), "".join(errors)
