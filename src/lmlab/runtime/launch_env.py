"""The ranks of a run, as torchrun or Slurm describes them in environment variables."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Mapping

from lmlab.errors import ConfigError, ReportedElsewhere, UserError

RANK0_REPORT_SECONDS = 5.0  # how long other ranks wait for rank 0 to print an error
_MIN_PORT, _NUM_PORTS = 15_000, 16_000  # below the ephemeral ports of Linux


@dataclasses.dataclass(frozen=True)
class LaunchEnv:
    """The processes of one run, called ranks.

    Attributes:
        rank: rank of this process, from 0; rank 0 writes the run's files.
        size: number of processes.
        local_rank: rank of this process among those on its machine.
        address: host and port of rank 0; None if torchrun's own variables give them.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    address: tuple[str, int] | None = None

    @property
    def is_rank0(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0


def read_launch_env(environment: Mapping[str, str] = os.environ) -> LaunchEnv:
    """Read which processes torchrun, or srun with several tasks, has started.

    torchrun sets ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK``. Slurm's variables are used only in a
    step of several tasks, because in a batch script they give the number of tasks that could start.

    Raises:
        ConfigError: the variables are invalid.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        rank, size = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
        local = _number(environment, "LOCAL_RANK") if "LOCAL_RANK" in environment else rank
        if not rank < size:
            raise ConfigError(
                f"RANK={rank}: expected a rank from 0 to {size - 1}, since WORLD_SIZE={size}",
                "unset both variables to train in one process",
            )
        return LaunchEnv(rank, size, local)
    size = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if size == 1:
        return LaunchEnv()
    return LaunchEnv(
        _number(environment, "SLURM_PROCID"),
        size,
        _number(environment, "SLURM_LOCALID"),
        (_first_host(environment), _port(environment)),
    )


def require_single_process(what: str) -> None:
    """Raise :class:`ConfigError` where several processes were started for ``what``."""
    size = read_launch_env().size
    if size > 1:
        raise ConfigError(
            f"{what}: expected one process, but torchrun or srun started {size}; only a single "
            "run has several ranks",
            "start it without torchrun, or with --ntasks=1",
        )


def print_error(error: UserError) -> None:
    """Print an error that all ranks may raise: rank 0 at once, the others only if it does not.

    The launcher kills the other ranks when rank 0 exits.
    """
    if isinstance(error, ReportedElsewhere):
        return
    rank = _rank_or_zero()
    if rank:
        time.sleep(RANK0_REPORT_SECONDS)
    print(f"rank {rank}: error: {error}" if rank else f"error: {error}", file=sys.stderr)


def _rank_or_zero() -> int:
    try:
        return read_launch_env().rank
    except UserError:
        return 0


def _number(environment: Mapping[str, str], key: str) -> int:
    text = environment.get(key, "")
    if not text.isdigit():
        raise ConfigError(
            f"{key}={text}: expected an integer of 0 or more, as torchrun or Slurm sets it",
            f"unset {key} to train in one process",
        )
    return int(text)


def _first_host(environment: Mapping[str, str]) -> str:
    if "MASTER_ADDR" in environment:
        return environment["MASTER_ADDR"]
    hosts = environment.get("SLURM_STEP_NODELIST", environment.get("SLURM_NODELIST", "localhost"))
    # node[07-09,12],other3 -> node07
    prefix, bracket, rest = hosts.partition("[")
    if not bracket or "," in prefix:
        return hosts.partition(",")[0]
    first = rest.partition("]")[0].replace("-", ",").partition(",")[0]
    return prefix + first + rest.partition("]")[2].partition(",")[0]


def _port(environment: Mapping[str, str]) -> int:
    if "MASTER_PORT" in environment:
        return _number(environment, "MASTER_PORT")
    job, step = (int(environment.get(key, 0)) for key in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return _MIN_PORT + (31 * job + step) % _NUM_PORTS
