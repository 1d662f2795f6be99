"""Communication between the ranks of a run: the processes that share each batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from lmlab.runtime.device import Device

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

T = TypeVar("T")


class Communicator:
    """The communicator of a single process, where every collective returns its input.

    Attributes:
        rank: rank of this process, from 0.
        size: number of ranks.
        parallel: how ranks share the work: ``none``, ``ddp``, ``zero1`` or ``fsdp``.
        num_sharing_cores: number of ranks that compute on this process's CPU cores, including it.
    """

    rank = 0
    size = 1
    parallel = "none"
    num_sharing_cores = 1

    @property
    def optimizer_shards(self) -> int:
        """Number of ranks that shard the optimizer state."""
        return self.size if self.parallel in ("zero1", "fsdp") else 1

    @property
    def gradient_shards(self) -> int:
        """Number of ranks that shard the gradients."""
        return self.size if self.shards_model else 1

    @property
    def shards_model(self) -> bool:
        """Whether the ranks shard weights and gradients."""
        return self.parallel == "fsdp"

    @property
    def is_rank0(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def assign_device(self, device: Device) -> Device:
        """Return the device of this rank, given the device of the run.

        Raises:
            ConfigError: the machine lacks a device for each of its ranks.
        """
        return device

    def batch_slice(self, batch_size: int) -> slice:
        """Return this rank's sequences of a batch; ``batch_size`` is a multiple of ``size``."""
        per_rank = batch_size // self.size
        return slice(self.rank * per_rank, (self.rank + 1) * per_rank)

    def shard(self, items: Iterable[T]) -> Iterator[tuple[int, T]]:
        """Yield this rank's share of equally costly items, each with its index among all."""
        return (pair for pair in enumerate(items) if pair[0] % self.size == self.rank)

    def broadcast_from_rank0(self, compute: Callable[[], T]) -> T:
        """Call ``compute`` on rank 0 and return its result on every rank, without a timeout."""
        return compute()

    def all_gather(self, value: T) -> list[T]:
        """Return the values that the ranks passed, in rank order."""
        return [value]

    def broadcast(self, rank: int, tensors: Sequence[torch.Tensor]) -> None:
        """Overwrite tensors with those of one rank, which have the same shapes."""

    def all_reduce_mean(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor with its mean over the ranks, bit-identical on every rank."""

    def sum_tensors(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor with its sum over the ranks, bit-identical on every rank."""

    def all_reduce_sum(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the sum over the ranks of a float64 array on the host."""
        return values

    def all_reduce_max(self, number: int) -> int:
        """Return the maximum over the ranks."""
        return number

    def device_mesh(self) -> DeviceMesh:
        """Return the one-dimensional mesh of all ranks, for torch's sharding."""
        raise AssertionError("a single process shards nothing")

    @contextlib.contextmanager
    def reporting_lost_ranks(self) -> Iterator[None]:
        """Turn an error raised inside into the error of a lost rank, if a lost rank caused it."""
        yield

    def report_failure(self, reason: str) -> None:
        """Give the other ranks the reason why this one is about to exit."""

    def __enter__(self) -> Communicator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the group."""


SINGLE_PROCESS = Communicator()
