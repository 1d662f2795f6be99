"""What Slurm says of jobs, with or without accounting."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import subprocess
from collections.abc import Collection

from lmlab.errors import ConfigError

# States in which a job may still run. CANCELLED and the like are final.
ALIVE = frozenset((
    "PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_FED",
    "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT",
    "STOPPED",
))  # fmt: skip
# Reasons for which a job waits until a person acts.
STUCK = re.compile(r"held|hold|DependencyNeverSatisfied|Invalid|BadConstraints", re.I)
_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class JobState:
    """A job of an array as Slurm sees it.

    Attributes:
        state: Slurm's word in capitals, such as ``PENDING``.
        reason: why it waits, or why it ended.
    """

    state: str
    reason: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether it may still run."""
        return self.state in ALIVE

    @property
    def is_stuck(self) -> bool:
        """Whether it waits until a person acts."""
        return self.state == "PENDING" and bool(STUCK.search(self.reason))


class UnreachableError(Exception):
    """Slurm does not answer; nothing is known."""


def check_commands() -> None:
    """Raise :class:`ConfigError` where Slurm's commands are not installed."""
    for name in ("sbatch", "srun", "squeue", "scontrol"):
        if shutil.which(name) is None:
            raise ConfigError(
                f"hydra/launcher=slurm needs Slurm's command {name}, which is not here: "
                "submit from a login node, or leave out hydra/launcher to run on this machine"
            )


def states_by_name(names: Collection[str]) -> dict[tuple[str, int], JobState]:
    """The jobs whose job name is in ``names``: by name and index in the array.

    Ended jobs are among them so long as the controller remembers them.

    Raises:
        UnreachableError: squeue failed.
    """
    if not names:
        return {}
    listed = _ask("squeue", "--noheader", "--array", "--states=all", "--name", ",".join(names),
                  "--format=%j|%K|%T|%r")  # fmt: skip
    found: dict[tuple[str, int], JobState] = {}
    for line in listed.splitlines():
        name, index, state, reason = line.strip().split("|", 3)
        there = found.get((name, _number(index)))
        if there is None or not there.is_alive:
            found[name, _number(index)] = JobState(state, "" if reason == "None" else reason)
    return found


def job_id_by_name(name: str) -> str | None:
    """The number of the array with a job name; None where the controller knows none."""
    listed = _ask("squeue", "--noheader", "--states=all", "--name", name, "--format=%F").split()
    return listed[0] if listed else None


def final_state(name: str, job_id: str, index: int) -> JobState | None:
    """How a job ended, from the controller or else the accounting; None where neither knows.

    Numbers are used again in time, so that a job of another ``name`` is not the one meant.
    """
    with contextlib.suppress(UnreachableError):
        shown = _ask("scontrol", "--oneliner", "show", "job", f"{job_id}_{index}")
        found = re.search(r"\bJobState=(\S+) Reason=(\S+).*\bExitCode=(\S+)", shown)
        if found and f" JobName={name} " in shown:
            return JobState(found[1], _told(found[2], found[3]))
    with contextlib.suppress(UnreachableError):
        listed = _ask("sacct", "--noheader", "--parsable2", "--allocations",
                      "--jobs", f"{job_id}_{index}", "--format=JobName,State,ExitCode")  # fmt: skip
        rows = [line.split("|") for line in listed.splitlines()]
        mine = [row for row in rows if len(row) == 3 and row[0] == name]
        if mine:
            return JobState(mine[-1][1].split()[0], _told("None", mine[-1][2]))
    return None


def how_it_ended(job: str, final: JobState | None) -> str:
    """The end of a job, in words; ``final`` is None where Slurm has forgotten it."""
    if final is None:
        return f"job {job} is lost: Slurm knows nothing of it"
    return f"job {job} ended: {final.state} {final.reason}".rstrip()


def _told(reason: str, exit_code: str) -> str:
    told = "" if reason == "None" else reason
    return f"{told} exit code {exit_code}".strip() if exit_code not in ("0:0", "") else told


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnreachableError(f"{command[0]}: {error}") from error
    return done.stdout
