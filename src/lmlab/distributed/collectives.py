"""Collectives between ranks through :mod:`torch.distributed`: gloo on hosts, NCCL on GPUs."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from lmlab.distributed.buckets import flatten, make_buckets, unflatten_into
from lmlab.distributed.communicator import Communicator
from lmlab.distributed.peers import Peers

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

T = TypeVar("T")


class TorchCollectives(Communicator):
    """The collectives of ranks that have joined torch's default process group.

    Results that may take long to compute are broadcast through the key-value store.

    Args:
        store: key-value store that the ranks share.
        peers: processes of the ranks.
    """

    def __init__(self, store: dist.Store, peers: Peers) -> None:
        self._store, self._peers = store, peers
        self._num_broadcasts = 0
        self._device_group: dist.ProcessGroup | None = None  # None: the group between hosts

    def broadcast_from_rank0(self, compute: Callable[[], T]) -> T:
        """Broadcast a pickled result through the store."""
        self._num_broadcasts += 1
        key = f"broadcast/{self._num_broadcasts}"
        if self.is_rank0:
            value = compute()
            with self._raising_lost_ranks():
                self._store.set(key, pickle.dumps(value))  # type: ignore[arg-type] # takes bytes
            return value
        pause = 0.01
        with self._raising_lost_ranks():
            while not self._store.check([key]):
                if self._peers.has_failure():
                    raise self._peers.lost_rank_error()
                time.sleep(pause)
                pause = min(2 * pause, 0.5)
            received: T = pickle.loads(self._store.get(key))
        return received

    def all_gather(self, value: T) -> list[T]:
        """All-gather between the hosts, pickled."""
        values: list[Any] = [None] * self.size
        with self._raising_lost_ranks():
            dist.all_gather_object(values, value)
        return values

    def broadcast(self, rank: int, tensors: Sequence[torch.Tensor]) -> None:
        """Broadcast in flat buckets."""
        with self._raising_lost_ranks():
            for bucket in make_buckets(tensors):
                if self.rank == rank:
                    flat = flatten(bucket)
                else:
                    flat = bucket[0].new_empty(sum(tensor.numel() for tensor in bucket))
                dist.broadcast(flat, rank, group=self._group_of(flat))
                if self.rank != rank:
                    unflatten_into(bucket, flat)

    def all_reduce_mean(self, tensors: Sequence[torch.Tensor]) -> None:
        """All-reduce in flat buckets; flatten the next bucket while one is being reduced."""
        self._reduce(tensors, divisor=self.size)

    def sum_tensors(self, tensors: Sequence[torch.Tensor]) -> None:
        """All-reduce in flat buckets."""
        self._reduce(tensors, divisor=None)

    def _reduce(self, tensors: Sequence[torch.Tensor], divisor: int | None) -> None:
        pending: list[tuple[list[torch.Tensor], torch.Tensor, Any]] = []
        with self._raising_lost_ranks():
            for bucket in make_buckets(tensors):
                flat = flatten(bucket)
                work = dist.all_reduce(flat, group=self._group_of(flat), async_op=True)
                pending.append((bucket, flat, work))
                if len(pending) > 1:
                    self._finish(*pending.pop(0), divisor)
            for last in pending:
                self._finish(*last, divisor)

    def _finish(
        self, bucket: list[torch.Tensor], flat: torch.Tensor, work: Any, divisor: int | None
    ) -> None:
        work.wait()
        if divisor is not None:
            flat /= divisor
        unflatten_into(bucket, flat)

    def all_reduce_sum(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """All-reduce between the hosts."""
        total = torch.from_numpy(values.astype(np.float64))
        with self._raising_lost_ranks():
            dist.all_reduce(total)
        return total.numpy()

    def all_reduce_max(self, number: int) -> int:
        """All-reduce between the hosts, without waiting for a GPU."""
        maximum = torch.tensor(number)
        with self._raising_lost_ranks():
            dist.all_reduce(maximum, dist.ReduceOp.MAX)
        return int(maximum)

    def device_mesh(self) -> DeviceMesh:
        """Return the mesh of the devices that :meth:`assign_device` returned."""
        from torch.distributed.device_mesh import DeviceMesh

        kind = "cpu" if self._device_group is None else "cuda"
        group = self._device_group or dist.group.WORLD
        assert group is not None
        return DeviceMesh.from_group(group, kind)

    @contextlib.contextmanager
    def reporting_lost_ranks(self) -> Iterator[None]:
        """Check whether an error of torch's own collectives follows from the exit of a rank."""
        try:
            yield
        except RuntimeError as error:
            if self.shards_model and self._peers.any_has_exited():
                raise self._peers.lost_rank_error() from error
            raise

    def _group_of(self, tensor: torch.Tensor) -> dist.ProcessGroup | None:
        return self._device_group if tensor.is_cuda else None

    @contextlib.contextmanager
    def _raising_lost_ranks(self) -> Iterator[None]:
        """Turn the failure of a collective into the error of the lost rank."""
        try:
            yield
        except RuntimeError as error:
            raise self._peers.lost_rank_error() from error
