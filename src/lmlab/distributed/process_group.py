"""Several ranks through :mod:`torch.distributed`: gloo between hosts, NCCL between GPUs.

Words that may take long to come go through its key-value store. A rank that dies closes its
connections, which ends the others' collectives at once; one that only hangs ends them after
:data:`TIMEOUT`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.distributed.peers import Peers, Process
from lmlab.errors import ConfigError, LostRankError, ReportedElsewhere, UserError
from lmlab.runtime.device import Device
from lmlab.runtime.launch_env import LaunchEnv

TIMEOUT = datetime.timedelta(minutes=15)
_GOODBYE_SECONDS = 30.0
_FAILURE_SECONDS = 5.0
_BUCKET_BYTES = 1 << 25

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

T = TypeVar("T")


def join(parallel: str, world: LaunchEnv) -> Communicator:
    """Meet the other processes of the run.

    Args:
        parallel: ``auto`` shares the work where several processes were started; ``ddp``,
            ``zero1`` and ``fsdp`` form a group even of one; ``none`` trains in one process.
        world: what was started.

    Raises:
        ConfigError: ``none`` in several processes.
        LostRankError: the others do not come.
    """
    if parallel == "none" and world.size > 1:
        raise ConfigError(
            f"runtime.parallel=none: {world.size} processes were started for this run; start one, "
            "or leave runtime.parallel=auto"
        )
    if world.size == 1 and parallel in ("auto", "none"):
        return SINGLE_PROCESS
    return ProcessGroup(world, "ddp" if parallel == "auto" else parallel)


class ProcessGroup(Communicator):
    """Several processes, each with a copy of the model (or, for measuring, one)."""

    def __init__(self, world: LaunchEnv, parallel: str) -> None:
        self.rank, self.size, self.parallel = world.rank, world.size, parallel
        self._local_rank = world.local_rank
        self._words = 0
        self._failed = False
        self._on_devices: dist.ProcessGroup | None = None  # None: the same as between hosts
        # Torch's compiler imports it later. Its functions keep the group that is there then as a
        # default, and with it the connections by whose end the others notice that of this rank.
        importlib.import_module("torch.distributed.nn.functional")
        try:
            self._store = _connect(world)
            dist.init_process_group(
                "gloo",
                store=dist.PrefixStore("group", self._store),
                rank=self.rank,
                world_size=self.size,
                timeout=TIMEOUT,
            )
            known: list[Any] = [None] * self.size
            dist.all_gather_object(known, Process.me())
        except (RuntimeError, OSError) as error:
            raise LostRankError(
                f"rank {self.rank} of {self.size} did not find the others: {error}; under Slurm "
                "another MASTER_PORT may help"
            ) from error
        self._peers = Peers(self._store, self.rank, known)
        self.num_sharing_cores = self._peers.num_sharing_cores()

    def assign_device(self, device: Device) -> Device:
        """The GPU of this rank's local number; or the CPU, where all share its cores."""
        kind = device.device.type
        if kind == "mps" and self.size > 1:
            raise ConfigError("runtime.device=mps: it serves one rank; choose runtime.device=cpu")
        if kind != "cuda":
            return device
        if device.device.index is not None and self.size > 1:
            raise ConfigError(
                f"runtime.device={device.device}: each rank takes a GPU of its own; with several "
                "ranks accepted is auto, cuda or cpu"
            )
        # Slurm may show each task its own GPU only, which is then number 0.
        seen = torch.cuda.device_count()
        index = device.device.index or (0 if seen == 1 else self._local_rank)
        own = str(torch.cuda.get_device_properties(index).uuid) if index < seen else "none"
        places: list[Any] = [None] * self.size
        with self._together():
            dist.all_gather_object(places, own)
        here = [places[rank] for rank in self._peers.on_this_host()]
        if "none" in here or len(set(here)) < len(here):
            raise ConfigError(
                f"{len(here)} ranks on this machine, but not as many GPUs: start at most one rank "
                "a GPU (torchrun --nproc-per-node), or choose runtime.device=cpu"
            )
        place = torch.device("cuda", index)
        torch.cuda.set_device(place)
        self._on_devices = dist.new_group(backend="nccl", timeout=TIMEOUT)
        return dataclasses.replace(device, device=place)

    def broadcast_from_rank0(self, act: Callable[[], T]) -> T:
        """What ``act`` gives on rank 0, pickled."""
        self._words += 1
        key = f"word/{self._words}"
        if self.is_rank0:
            value = act()
            with self._together():
                self._store.set(key, pickle.dumps(value))  # type: ignore[arg-type] # bytes serve
            return value
        pause = 0.01
        with self._together():
            while not self._store.check([key]):
                if self._peers.have_failed():
                    raise self._peers.lost()
                time.sleep(pause)
                pause = min(2 * pause, 0.5)
            received: T = pickle.loads(self._store.get(key))
        return received

    def all_gather(self, value: T) -> list[T]:
        """All-gather between the hosts, pickled."""
        values: list[Any] = [None] * self.size
        with self._together():
            dist.all_gather_object(values, value)
        return values

    def broadcast(self, rank: int, tensors: Sequence[torch.Tensor]) -> None:
        """Broadcast in flat buckets."""
        with self._together():
            for bucket in _buckets(tensors):
                if self.rank == rank:
                    flat = torch.cat([tensor.detach().flatten() for tensor in bucket])
                else:
                    flat = bucket[0].new_empty(sum(tensor.numel() for tensor in bucket))
                dist.broadcast(flat, rank, group=self._group_of(flat))
                if self.rank != rank:
                    _lay_out(flat, bucket)

    def all_reduce_mean(self, tensors: Sequence[torch.Tensor]) -> None:
        """All-reduce in flat buckets; while one is under way, the next is laid out."""
        under_way: list[tuple[list[torch.Tensor], torch.Tensor, Any]] = []
        with self._together():
            for bucket in _buckets(tensors):
                flat = torch.cat([tensor.detach().flatten() for tensor in bucket])
                work = dist.all_reduce(flat, group=self._group_of(flat), async_op=True)
                under_way.append((bucket, flat, work))
                if len(under_way) > 1:
                    self._finish(*under_way.pop(0))
            for last in under_way:
                self._finish(*last)

    def _finish(self, bucket: list[torch.Tensor], flat: torch.Tensor, work: Any) -> None:
        work.wait()
        flat /= self.size
        _lay_out(flat, bucket)

    def all_reduce_sum(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """All-reduce between the hosts."""
        total = torch.from_numpy(values.astype(np.float64))
        with self._together():
            dist.all_reduce(total)
        return total.numpy()

    def all_reduce_max(self, number: int) -> int:
        """All-reduce between the hosts, so that no GPU is waited for."""
        found = torch.tensor(number)
        with self._together():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def device_mesh(self) -> DeviceMesh:
        """Over the devices that :meth:`assign_device` has found."""
        from torch.distributed.device_mesh import DeviceMesh

        kind = "cpu" if self._on_devices is None else "cuda"
        group = self._on_devices or dist.group.WORLD
        assert group is not None
        return DeviceMesh.from_group(group, kind)

    @contextlib.contextmanager
    def reporting_lost_ranks(self) -> Iterator[None]:
        """Ask, after an error where torch itself exchanges, whether a rank has ended before."""
        try:
            yield
        except RuntimeError as error:
            if self.shards_model and self._peers.have_ended():
                raise self._peers.lost() from error
            raise

    def report_failure(self, reason: str) -> None:
        """Leave the first reason in the store, for those who lose this rank."""
        self._failed = True
        self._peers.report_failure(reason)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave; of an error that ends all ranks, one rank alone tells.

        Raises:
            ReportedElsewhere: in place of a :class:`UserError` that this rank need not tell.
        """
        if error is not None:
            told = str(error) if isinstance(error, UserError) else traceback.format_exc()
            self.report_failure(told)
        speaks = self._failed and self._peers.let_me_tell()
        if self._on_devices is None or not self._failed:  # NCCL's would wait for the lost rank
            dist.destroy_process_group()
        # Whoever holds the store leaves last.
        self._peers.say_goodbye(_FAILURE_SECONDS if self._failed else _GOODBYE_SECONDS)
        if isinstance(error, UserError) and not (speaks and self.is_rank0):
            if speaks:
                print(f"rank {self.rank}: error: {error}", file=sys.stderr)
            raise ReportedElsewhere(error) from error

    def _group_of(self, tensor: torch.Tensor) -> dist.ProcessGroup | None:
        return self._on_devices if tensor.is_cuda else None

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Turn a collective's failure into the error of the rank that was lost."""
        try:
            yield
        except RuntimeError as error:
            raise self._peers.lost() from error


def _connect(world: LaunchEnv) -> dist.Store:
    if world.size == 1:
        return dist.HashStore()
    if world.address is None:
        store: dist.Store = next(iter(rendezvous("env://", timeout=TIMEOUT)))[0]
        return store
    host, port = world.address
    return dist.TCPStore(host, port, world.size, is_master=world.is_rank0, timeout=TIMEOUT)


def _lay_out(flat: torch.Tensor, bucket: list[torch.Tensor]) -> None:
    """Copy the parts of a flat tensor to those that it was made of."""
    parts = flat.split([tensor.numel() for tensor in bucket])
    shaped = [part.view_as(tensor) for part, tensor in zip(parts, bucket, strict=True)]
    torch._foreach_copy_([tensor.detach() for tensor in bucket], shaped)


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Runs of tensors of one kind and place, of about :data:`_BUCKET_BYTES` each."""
    bucket: list[torch.Tensor] = []
    held = 0
    for tensor in tensors:
        other = bool(bucket) and (tensor.dtype, tensor.device) != (
            bucket[0].dtype, bucket[0].device,
        )  # fmt: skip
        if bucket and (other or held + tensor.nbytes > _BUCKET_BYTES):
            yield bucket
            bucket, held = [], 0
        bucket.append(tensor)
        held += tensor.nbytes
    if bucket:
        yield bucket
