"""Ask Slurm for the states of jobs, with or without accounting."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
from collections.abc import Collection

from lmlab.errors import ConfigError
from lmlab.sweep.slurm.commands import RefusedError, UnreachableError, run_command

# A job in one of these states may still run; CANCELLED and the like are final.
ALIVE_STATES = frozenset((
    "PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_FED",
    "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT",
    "STOPPED",
))  # fmt: skip
_HELD_STATES = frozenset(("REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD", "STOPPED"))
_REMEDIES = {
    "OUT_OF_MEMORY": "increase hydra.launcher.mem_gb",
    "TIMEOUT": "it did not save in time: increase hydra.launcher.signal_seconds",
}
# A job with such a reason waits until a person acts. Limits "PerJob" concern the job itself;
# other limits end when other jobs end.
STUCK_REASONS = re.compile(
    r"held|hold|DependencyNeverSatisfied|Invalid|BadConstraints|NotAllowed|PerJob|MaxMemPerLimit"
    r"|Partition(Down|Inactive|Drain|TimeLimit|NodeLimit|Config)|ReservationDeleted",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class JobState:
    """The state of an array's job in Slurm.

    Attributes:
        state: Slurm's name of the state, such as ``PENDING``.
        reason: why the job waits, or why it ended.
    """

    state: str
    reason: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether the job may still run."""
        return self.state in ALIVE_STATES

    @property
    def is_stuck(self) -> bool:
        """Whether the job waits until a person acts."""
        if self.state in _HELD_STATES:
            return True
        return self.state == "PENDING" and bool(STUCK_REASONS.search(self.reason))


def check_commands() -> None:
    """Raise :class:`ConfigError` if a command of Slurm is not installed."""
    for name in ("sbatch", "srun", "squeue", "scontrol"):
        if shutil.which(name) is None:
            raise ConfigError(
                f"hydra/launcher=slurm: the command {name} of Slurm is not installed",
                "submit from a login node, or remove hydra/launcher to run on this machine",
            )


def states_by_name(names: Collection[str]) -> dict[tuple[str, int], JobState]:
    """Return the jobs with one of the ``names``, by name and index in the array.

    Includes ended jobs until the controller forgets them.

    Raises:
        UnreachableError: squeue failed.
    """
    if not names:
        return {}
    listed = _squeue("--array", "--name", ",".join(names), "--format=%j|%K|%T|%r")
    found: dict[tuple[str, int], JobState] = {}
    for line in listed.splitlines():
        name, index, state, reason = line.strip().split("|", 3)
        previous = found.get((name, _parse_index(index)))
        if previous is None or not previous.is_alive:
            found[name, _parse_index(index)] = JobState(state, "" if reason == "None" else reason)
    return found


def job_id_by_name(name: str) -> str | None:
    """Return the number of the array with a job name; None if the controller knows none."""
    listed = _squeue("--name", name, "--format=%F").split()
    return listed[0] if listed else None


def final_state(name: str, job_id: str, index: int) -> JobState | None:
    """Return how a job ended, from the controller or the accounting; None if both forgot it.

    Slurm reuses numbers, so a job with another ``name`` does not count.

    Raises:
        UnreachableError: the controller does not respond, so it may know.
    """
    with contextlib.suppress(RefusedError):
        shown = run_command("scontrol", "--oneliner", "show", "job", f"{job_id}_{index}")
        found = re.search(r"\bJobState=(\S+) Reason=(\S+).*\bExitCode=(\S+)", shown)
        if found and f" JobName={name} " in shown:
            return JobState(found[1], _join_reason(found[2], found[3]))
    with contextlib.suppress(RefusedError, UnreachableError):  # there may be no accounting
        listed = run_command("sacct", "--noheader", "--parsable2", "--allocations",
                      "--jobs", f"{job_id}_{index}", "--format=JobName,State,ExitCode")  # fmt: skip
        rows = [line.split("|") for line in listed.splitlines()]
        matching = [row for row in rows if len(row) == 3 and row[0] == name]
        if matching:
            _, state, exit_code = matching[-1]
            return JobState(state.split()[0], _join_reason("None", exit_code))
    return None


def describe_end(job: str, final: JobState | None) -> str:
    """Describe how a job ended; ``final`` is None if Slurm has forgotten it."""
    if final is None:
        return f"job {job} is lost: Slurm has no record of it"
    description = f"job {job} ended: {final.state} {final.reason}".rstrip()
    remedy = _REMEDIES.get(final.state)
    return f"{description} ({remedy})" if remedy else description


def _squeue(*arguments: str) -> str:
    try:
        return run_command("squeue", "--noheader", "--states=all", *arguments)
    except RefusedError as error:  # a query for names that no job has is not an error
        raise UnreachableError(f"squeue: {error}") from error


def _join_reason(reason: str, exit_code: str) -> str:
    known = "" if reason == "None" else reason
    return f"{known} exit code {exit_code}".strip() if exit_code not in ("0:0", "") else known


def _parse_index(text: str) -> int:
    return int(text) if text.isdigit() else 0
