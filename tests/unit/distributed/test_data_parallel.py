"""What data parallelism does with the buffers of a model; two real ranks are tested elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from lmlab.distributed.communicator import Communicator
from lmlab.distributed.data_parallel import DataParallelGradients


class Counting(nn.Module):
    """A layer whose passes count in one buffer and average in another."""

    summed_buffers = ("counts", "absent")

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(2, dtype=torch.int64), persistent=False)
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("absent", None)


class SecondRank(Communicator):
    """The communicator of rank 1 of two; rank 0 has counted 5 and 7, and has means of 3."""

    rank, size = 1, 2

    def sum_tensors(self, tensors: Sequence[torch.Tensor]) -> None:
        (counts,) = tensors
        counts += torch.tensor([5, 7])

    def broadcast(self, rank: int, tensors: Sequence[torch.Tensor]) -> None:
        (mean,) = tensors
        mean.fill_(3.0)


def test_counts_are_summed_and_saved_buffers_are_those_of_rank_0() -> None:
    layer = Counting()

    def gradients(inputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        layer.counts += torch.tensor([1, 2])
        layer.mean += 1
        return {"loss": torch.zeros(())}

    DataParallelGradients(gradients, layer, SecondRank())(torch.zeros(1), torch.zeros(1))
    assert layer.counts.tolist() == [6, 9]
    assert layer.mean.tolist() == [3.0, 3.0]
