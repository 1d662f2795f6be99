"""What the ranks of a run know of each other: who is where, who has ended, and why."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import time

import torch.distributed as dist

from lmlab.errors import LostRankError, RankError
from lmlab.storage.lock import process_start_time

_CLOSING_SECONDS = 2.0  # within which a process is gone whose connections have closed


@dataclasses.dataclass(frozen=True)
class Process:
    """A rank as the others know it."""

    host: str
    pid: int
    started: str | None
    cores: frozenset[int]

    @classmethod
    def me(cls) -> Process:
        """This process."""
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
        pid = os.getpid()
        return cls(socket.gethostname(), pid, process_start_time(pid), frozenset(cores))

    def has_ended(self) -> bool:
        """Whether it is known to be dead; on another host that cannot be known."""
        if self.host != socket.gethostname():
            return False
        return process_start_time(self.pid) != self.started


class Peers:
    """The ranks of a run, through the store that they share.

    Args:
        store: holds the reason of the first failure, and who has left.
        rank: of this process.
        processes: of all ranks.
    """

    def __init__(self, store: dist.Store, rank: int, processes: list[Process]) -> None:
        self.store = store
        self.rank = rank
        self.processes = processes
        self._has_lost = False

    def on_this_host(self) -> list[int]:
        """The ranks on this process's machine."""
        host = self.processes[self.rank].host
        return [rank for rank, peer in enumerate(self.processes) if peer.host == host]

    def num_sharing_cores(self) -> int:
        """How many ranks may compute on this process's CPU cores, itself included."""
        own = self.processes[self.rank].cores
        return sum(bool(self.processes[rank].cores & own) for rank in self.on_this_host())

    def report_failure(self, reason: str) -> None:
        """Leave the reason why this rank ends, unless another has left its own before."""
        with contextlib.suppress(RuntimeError):
            if self._has_lost:
                self.store.set("lost", "")
            self.store.compare_set("failure", "", f"rank {self.rank} failed: {reason}")

    def have_failed(self) -> bool:
        """Whether a reason was left."""
        return bool(self.store.check(["failure"]))

    def let_me_tell(self) -> bool:
        """Whether this rank is the first to ask, and so the one that tells the user."""
        try:
            return self.store.add("told", 1) == 1
        except RuntimeError:  # rank 0 held the store and is gone
            return self.rank == 1

    def say_goodbye(self, seconds: float) -> None:
        """Leave; rank 0, which may hold the store, after the others but for ``seconds`` at most."""
        with contextlib.suppress(RuntimeError):
            self.store.set(f"gone/{self.rank}", "")
            until = time.monotonic() + seconds
            staying = [] if self.rank else list(range(len(self.processes)))
            while staying and time.monotonic() < until:
                staying = [rank for rank in staying if not self._is_gone(rank)]
                time.sleep(0.01)

    def _is_gone(self, rank: int) -> bool:
        return bool(self.store.check([f"gone/{rank}"])) or self.processes[rank].has_ended()

    def have_ended(self) -> bool:
        """Whether another rank has failed or is gone, or is so within the time that closing takes.

        Without the store, rank 0 is gone.
        """
        until = time.monotonic() + _CLOSING_SECONDS
        try:
            while time.monotonic() < until:
                if self.have_failed() or any(peer.has_ended() for peer in self.processes):
                    return True
                time.sleep(0.05)
        except RuntimeError:
            return True
        return False

    def lost(self) -> RankError:
        """The error of a rank that can no longer be reached.

        It is a :class:`LostRankError` unless a rank has failed by itself.
        """
        told = self._who_ended()
        kind = LostRankError if self._has_lost else RankError
        return kind(
            f"{told}; the same command goes on from the last checkpoint, also with another number "
            "of ranks"
        )

    def _who_ended(self) -> str:
        """The first reason that was left, or which process is no longer there."""
        self._has_lost = True
        until = time.monotonic() + _CLOSING_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(RuntimeError):
                if self.have_failed():
                    self._has_lost = bool(self.store.check(["lost"]))
                    return self.store.get("failure").decode()
            for rank, peer in enumerate(self.processes):
                if peer.has_ended():
                    return (
                        f"rank {rank} of {len(self.processes)} (process {peer.pid} on "
                        f"{peer.host}) ended without a word: it was killed, by the system (out "
                        "of memory?) or by hand"
                    )
            time.sleep(0.05)
        return "a rank of this run can no longer be reached"
