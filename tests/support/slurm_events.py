"""What a cluster does to the jobs of a study, and how a person follows them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def job_ids(studies: Any, state: str = "RUNNING") -> list[str]:
    """Numbers of the runs' jobs in a state; the driver's is not among them."""
    listed = studies.cluster.ask("squeue", "-h", "-r", "-t", state, "-o", "%F_%K %j").splitlines()
    return [line.split()[0] for line in listed if "lmlab-driver" not in line]


def release(studies: Any) -> None:
    """Let requeued jobs start soon; Slurm would hold them for two minutes.

    Not within the second in which they were queued again: slurmd revokes a job's credentials by
    whole seconds, and would refuse ("Killing non-startable batch job") what starts that early.
    """
    now = time.monotonic()
    pending = job_ids(studies, "PENDING")
    studies.pending_since = {job: studies.pending_since.get(job, now) for job in pending}
    for job, since in studies.pending_since.items():
        if now > since + 1.5:
            studies.cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)


def task_pids(studies: Any) -> list[int]:
    """The processes of the jobs' runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            here = os.readlink(path.parent / "cwd") == str(studies.folder)
        except OSError:
            continue
        if here and b"lmlab.sweep.slurm.array_job" in words and words[0].endswith(b"python"):
            found.append(int(path.parent.name))
    return found


# A job may end before an event reaches it: Slurm's refusal is no fault.
def told_usr2(studies: Any) -> None:
    for job in job_ids(studies):
        studies.cluster.ask("scancel", "--signal=USR2", job, check=False)


def to_the_end(studies: Any, words: list[str], process: subprocess.Popen[str]) -> str:
    """Follow a launch to its end, and rerun as a person would who finds runs missing."""
    printed = ""
    for _ in range(4):
        while process.poll() is None:
            release(studies)
            time.sleep(0.5)
        printed += process.communicate()[0]
        if set(studies.statuses("disturbed").values()) == {"done"}:
            return printed
        process = studies.start(*words)
    raise AssertionError(printed)


def begun_again(studies: Any) -> list[str]:
    """Runs that were trained from scratch once they had saved."""
    found = []
    for path in (studies.outputs / "disturbed").glob("*/seed*/train.log"):
        log = path.read_text()
        if "resuming" in log and log.rindex("resuming") < log.rindex("step 0: validation"):
            found.append(str(path))
    return found


def wait_for_steps(studies: Any, wait_for: Callable[..., None], number: int) -> None:
    wait_for(
        lambda: sum(
            (status or 0) > 0 for status in studies.statuses("disturbed", "step").values()
        ) >= number
    )  # fmt: skip
