"""The process group of a run: how its ranks connect, and how they exit together.

A rank that dies closes its connections, which ends the collectives of the others at once. A rank
that hangs ends them after :data:`TIMEOUT`.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import sys
import traceback
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from lmlab.console.formatting import format_count
from lmlab.distributed.collectives import TorchCollectives
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.distributed.peers import Peers, RankProcess
from lmlab.errors import ConfigError, LostRankError, ReportedElsewhere, UserError
from lmlab.runtime.device import Device
from lmlab.runtime.launch_env import LaunchEnv

TIMEOUT = datetime.timedelta(minutes=15)
# How long rank 0 waits for the other ranks to leave, after success and after a failure.
_LEAVE_SECONDS = 30.0
_FAILURE_SECONDS = 5.0


def join(parallel: str, launch_env: LaunchEnv) -> Communicator:
    """Join the process group of the run.

    Args:
        parallel: ``ddp``, ``zero1`` and ``fsdp`` form a group, even of one process; ``auto`` is
            ``ddp`` if several processes were started; ``none`` trains in one process.
        launch_env: the processes that were started.

    Raises:
        ConfigError: ``none`` in several processes.
        LostRankError: the other processes do not connect.
    """
    if parallel == "none" and launch_env.size > 1:
        raise ConfigError(
            f"runtime.parallel=none: expected one process, but {launch_env.size} were started",
            "start one process, or leave runtime.parallel=auto",
        )
    if launch_env.size == 1 and parallel in ("auto", "none"):
        return SINGLE_PROCESS
    return ProcessGroup(launch_env, "ddp" if parallel == "auto" else parallel)


class ProcessGroup(TorchCollectives):
    """The communicator of several processes, or of one, for measurements.

    Args:
        launch_env: the processes that were started.
        parallel: how the ranks share the work: ``ddp``, ``zero1`` or ``fsdp``.

    Raises:
        LostRankError: the other processes do not connect.
    """

    def __init__(self, launch_env: LaunchEnv, parallel: str) -> None:
        self.rank, self.size, self.parallel = launch_env.rank, launch_env.size, parallel
        self._local_rank = launch_env.local_rank
        self._failed = False
        # Torch's compiler would import it later, and its functions would then keep this group as
        # a default argument. The connections would stay open after a failure, although the other
        # ranks notice the failure by their end.
        importlib.import_module("torch.distributed.nn.functional")
        try:
            store = _connect(launch_env)
            dist.init_process_group(
                "gloo",
                store=dist.PrefixStore("group", store),
                rank=self.rank,
                world_size=self.size,
                timeout=TIMEOUT,
            )
            processes: list[Any] = [None] * self.size
            dist.all_gather_object(processes, RankProcess.current())
        except (RuntimeError, OSError) as error:
            raise LostRankError(
                f"rank {self.rank} of {self.size} cannot connect to the other ranks: {error}",
                "set another MASTER_PORT if the job runs under Slurm",
            ) from error
        super().__init__(store, Peers(store, self.rank, processes))
        self.num_sharing_cores = self._peers.num_sharing_cores()

    def assign_device(self, device: Device) -> Device:
        """Return the GPU of this rank's local rank; on a CPU, where ranks share cores, the CPU."""
        kind = device.device.type
        if kind == "mps" and self.size > 1:
            raise ConfigError(
                "runtime.device=mps: expected cpu or cuda with several ranks",
                "set runtime.device=cpu",
            )
        if kind != "cuda":
            return device
        if device.device.index is not None and self.size > 1:
            raise ConfigError(
                f"runtime.device={device.device}: expected auto, cuda or cpu with several ranks",
                "remove the index; each rank uses its own GPU",
            )
        # Slurm may show each task its own GPU only, which is then number 0.
        num_visible = torch.cuda.device_count()
        index = device.device.index or (0 if num_visible == 1 else self._local_rank)
        is_visible = index < num_visible
        uuid = str(torch.cuda.get_device_properties(index).uuid) if is_visible else "none"
        uuids = self.all_gather(uuid)
        local = [uuids[rank] for rank in self._peers.on_this_host()]
        if "none" in local or len(set(local)) < len(local):
            raise ConfigError(
                f"{format_count(len(local), 'rank')} on this machine: expected a GPU for each",
                "start at most one rank per GPU (torchrun --nproc-per-node), or set "
                "runtime.device=cpu",
            )
        gpu = torch.device("cuda", index)
        torch.cuda.set_device(gpu)
        self._device_group = dist.new_group(backend="nccl", timeout=TIMEOUT)
        return dataclasses.replace(device, device=gpu)

    def report_failure(self, reason: str) -> None:
        """Store the reason, unless another rank was first, for the ranks that lose this one."""
        self._failed = True
        self._peers.report_failure(reason)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the group; only one rank prints an error that ends all of them.

        Raises:
            ReportedElsewhere: in place of a :class:`UserError` that another rank prints.
        """
        if error is not None:
            self.report_failure(_reason(error))
        is_reporter = self._failed and self._peers.claim_report()
        if self._device_group is None or not self._failed:  # NCCL would wait for the lost rank
            dist.destroy_process_group()
        # The owner of the store leaves last.
        self._peers.leave(_FAILURE_SECONDS if self._failed else _LEAVE_SECONDS)
        if isinstance(error, UserError) and not (is_reporter and self.is_rank0):
            if is_reporter:
                print(f"rank {self.rank}: error: {error}", file=sys.stderr)
            raise ReportedElsewhere(error) from error


def _reason(error: BaseException) -> str:
    """Describe an error to the other ranks: a user's mistake in a line, a bug by its traceback."""
    if not isinstance(error, UserError):
        return traceback.format_exc()
    return error.message if error.help is None else f"{error.message} ({error.help})"


def _connect(launch_env: LaunchEnv) -> dist.Store:
    if launch_env.size == 1:
        return dist.HashStore()
    if launch_env.address is None:
        store: dist.Store = next(iter(rendezvous("env://", timeout=TIMEOUT)))[0]
        return store
    host, port = launch_env.address
    return dist.TCPStore(
        host, port, launch_env.size, is_master=launch_env.is_rank0, timeout=TIMEOUT
    )
