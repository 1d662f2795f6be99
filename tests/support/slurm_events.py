"""Events of a cluster that disturb the jobs of a study, and following the study to its end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def job_ids(studies: Any, state: str = "RUNNING") -> list[str]:
    """Return the numbers of the jobs in a state, without that of the driver."""
    listed = studies.cluster.ask("squeue", "-h", "-r", "-t", state, "-o", "%F_%K %j").splitlines()
    return [line.split()[0] for line in listed if "lmlab-driver" not in line]


def release(studies: Any) -> None:
    """Let requeued jobs start at once; Slurm holds them for two minutes.

    It waits until the second of the requeue is over: slurmd revokes credentials with a resolution
    of one second, and refuses a job that starts earlier ("Killing non-startable batch job").
    """
    now = time.monotonic()
    pending = job_ids(studies, "PENDING")
    studies.pending_since = {job: studies.pending_since.get(job, now) for job in pending}
    for job, since in studies.pending_since.items():
        if now > since + 1.5:
            studies.cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)


def task_pids(studies: Any) -> list[int]:
    """Return the processes of the jobs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
            here = os.readlink(path.parent / "cwd") == str(studies.folder)
        except OSError:
            continue
        if (
            here
            and b"lmlab.sweep.slurm.array_job" in arguments
            and arguments[0].endswith(b"python")
        ):
            found.append(int(path.parent.name))
    return found


def send_usr2(studies: Any) -> None:
    """Send USR2 to every running job, unless it ends before."""
    for job in job_ids(studies):
        studies.cluster.ask("scancel", "--signal=USR2", job, check=False)


def follow_to_end(studies: Any, arguments: list[str], process: subprocess.Popen[str]) -> str:
    """Follow a launch to its end, and rerun it while runs are missing, as a user would."""
    printed = ""
    for _ in range(4):
        while process.poll() is None:
            release(studies)
            time.sleep(0.5)
        printed += process.communicate()[0]
        # A run that was cancelled before it started has no status, but its launch then fails.
        if process.returncode == 0 and set(studies.statuses("disturbed").values()) == {"done"}:
            return printed
        process = studies.start(*arguments)
    raise AssertionError(printed)


def restarted_runs(studies: Any) -> list[str]:
    """Return the runs that started from step 0 after they had resumed."""
    found = []
    for path in (studies.outputs / "disturbed").glob("*/seed*/train.log"):
        log = path.read_text()
        if "resuming" in log and log.rindex("resuming") < log.rindex("step 0: validation"):
            found.append(str(path))
    return found


def wait_for_checkpoints(studies: Any, wait_for: Callable[..., None], number: int) -> None:
    """Wait until a number of runs have a checkpoint, which is early in a run on any machine."""
    runs = studies.outputs / "disturbed"
    wait_for(
        lambda: sum(any(run.glob("checkpoints/step_*")) for run in runs.glob("*/seed*")) >= number
    )
