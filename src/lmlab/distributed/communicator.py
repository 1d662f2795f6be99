"""The ranks of a run: the processes that share each batch, and what they ask of each other."""

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
    """This process alone: the trivial case, in which all is mine and everyone agrees.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
        parallel: how they share the work: ``none``, ``ddp``, ``zero1`` or ``fsdp``.
        num_sharing_cores: ranks that compute on this process's CPU cores, itself included.
    """

    rank = 0
    size = 1
    parallel = "none"
    num_sharing_cores = 1

    @property
    def optimizer_shards(self) -> int:
        """Among how many ranks the optimizer's state is divided."""
        return self.size if self.parallel in ("zero1", "fsdp") else 1

    @property
    def gradient_shards(self) -> int:
        """Among how many ranks the gradients are divided."""
        return self.size if self.shards_model else 1

    @property
    def shards_model(self) -> bool:
        """Whether weights and gradients are divided among the ranks."""
        return self.parallel == "fsdp"

    @property
    def is_rank0(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def assign_device(self, device: Device) -> Device:
        """The device of this rank, where ``device`` is that of the run.

        Raises:
            ConfigError: the ranks of a machine have no device each.
        """
        return device

    def batch_slice(self, batch_size: int) -> slice:
        """The sequences of a batch that are this rank's; ``batch_size`` is a multiple of size."""
        own = batch_size // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def shard(self, items: Iterable[T]) -> Iterator[tuple[int, T]]:
        """Those of equally costly items that are this rank's, numbered among all."""
        return (pair for pair in enumerate(items) if pair[0] % self.size == self.rank)

    def broadcast_from_rank0(self, act: Callable[[], T]) -> T:
        """What ``act`` gives on rank 0, on every rank; it may take as long as it takes."""
        return act()

    def all_gather(self, value: T) -> list[T]:
        """What each rank has called it with, in their order."""
        return [value]

    def broadcast(self, rank: int, tensors: Sequence[torch.Tensor]) -> None:
        """Overwrite tensors by those of one rank, which have the same shapes."""

    def all_reduce_mean(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, the same bits on every rank."""

    def all_reduce_sum(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The sum over the ranks of a float64 array on the host."""
        return values

    def all_reduce_max(self, number: int) -> int:
        """The largest of the ranks' numbers."""
        return number

    def device_mesh(self) -> DeviceMesh:
        """All ranks in a row, for what torch divides among them."""
        raise AssertionError("one process divides nothing")

    @contextlib.contextmanager
    def reporting_lost_ranks(self) -> Iterator[None]:
        """Turn what a lost rank brings about inside into the error of that rank."""
        yield

    def report_failure(self, reason: str) -> None:
        """Tell the others why this rank is about to end."""

    def __enter__(self) -> Communicator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the others."""


SINGLE_PROCESS = Communicator()
