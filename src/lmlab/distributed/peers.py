"""What each rank knows of the others: their processes, which have exited, and why."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import time

import torch.distributed as dist

from lmlab.errors import LostRankError, RankError
from lmlab.storage.process_identity import process_start_time

_EXIT_SECONDS = 2.0  # a process exits within this time after its connections close


@dataclasses.dataclass(frozen=True)
class RankProcess:
    """The process of a rank.

    Attributes:
        host: name of its machine.
        pid: its process id there.
        started: its start time; None if the system reports none.
        cores: CPU cores that it may use.
    """

    host: str
    pid: int
    started: str | None
    cores: frozenset[int]

    @classmethod
    def current(cls) -> RankProcess:
        """Return this process."""
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
        pid = os.getpid()
        return cls(socket.gethostname(), pid, process_start_time(pid), frozenset(cores))

    def has_exited(self) -> bool:
        """Return whether the process has exited; False on another host, where this is unknown."""
        if self.host != socket.gethostname():
            return False
        return process_start_time(self.pid) != self.started


class Peers:
    """The ranks of a run, through the key-value store that they share.

    Args:
        store: holds the reason of the first failure and which ranks have left.
        rank: rank of this process.
        processes: processes of all ranks.
    """

    def __init__(self, store: dist.Store, rank: int, processes: list[RankProcess]) -> None:
        self.store = store
        self.rank = rank
        self.processes = processes
        self._has_lost_rank = False

    def on_this_host(self) -> list[int]:
        """Return the ranks on this process's machine."""
        host = self.processes[self.rank].host
        return [rank for rank, peer in enumerate(self.processes) if peer.host == host]

    def num_sharing_cores(self) -> int:
        """Return how many ranks may compute on this process's CPU cores, including it."""
        cores = self.processes[self.rank].cores
        return sum(bool(self.processes[rank].cores & cores) for rank in self.on_this_host())

    def report_failure(self, reason: str) -> None:
        """Store the reason why this rank exits, unless another rank has stored one."""
        with contextlib.suppress(RuntimeError):
            if self._has_lost_rank:
                self.store.set("lost", "")
            self.store.compare_set("failure", "", f"rank {self.rank} failed: {reason}")

    def has_failure(self) -> bool:
        """Return whether a rank has stored a failure."""
        return bool(self.store.check(["failure"]))

    def claim_report(self) -> bool:
        """Return whether this rank is the first to ask, and so the one to print the error."""
        try:
            return self.store.add("reported", 1) == 1
        except RuntimeError:  # the store was rank 0's, which has exited
            return self.rank == 1

    def leave(self, seconds: float) -> None:
        """Leave the group; rank 0, which may own the store, waits for the others.

        Args:
            seconds: the longest that rank 0 waits.
        """
        with contextlib.suppress(RuntimeError):
            self.store.set(f"left/{self.rank}", "")
            until = time.monotonic() + seconds
            remaining = [] if self.rank else list(range(len(self.processes)))
            while remaining and time.monotonic() < until:
                remaining = [rank for rank in remaining if not self._has_left(rank)]
                time.sleep(0.01)

    def _has_left(self, rank: int) -> bool:
        return bool(self.store.check([f"left/{rank}"])) or self.processes[rank].has_exited()

    def any_has_exited(self) -> bool:
        """Return whether another rank has failed or exited, or does so within two seconds.

        A store that does not answer means that rank 0 has exited.
        """
        until = time.monotonic() + _EXIT_SECONDS
        try:
            while time.monotonic() < until:
                if self.has_failure() or any(peer.has_exited() for peer in self.processes):
                    return True
                time.sleep(0.05)
        except RuntimeError:
            return True
        return False

    def lost_rank_error(self) -> RankError:
        """Return the error that names the rank which can no longer be reached.

        It is a :class:`LostRankError` unless that rank failed with an error of its own.
        """
        description = self._describe_exit()
        kind = LostRankError if self._has_lost_rank else RankError
        return kind(
            description,
            "rerun the command to resume from the last checkpoint, with any number of ranks",
        )

    def _describe_exit(self) -> str:
        """Return the first stored failure, or which process has exited."""
        self._has_lost_rank = True
        until = time.monotonic() + _EXIT_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(RuntimeError):
                if self.has_failure():
                    self._has_lost_rank = bool(self.store.check(["lost"]))
                    return self.store.get("failure").decode()
            for rank, peer in enumerate(self.processes):
                if peer.has_exited():
                    return (
                        f"rank {rank} of {len(self.processes)} (process {peer.pid} on "
                        f"{peer.host}) exited without reporting an error: it was killed, possibly "
                        "by the system when out of memory"
                    )
            time.sleep(0.05)
        return "a rank of this run can no longer be reached"
