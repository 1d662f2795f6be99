from __future__ import annotations

import numpy as np
import pytest
import torch

from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator


def make_ranks(size: int, parallel: str = "ddp") -> list[Communicator]:
    ranks = []
    for rank in range(size):
        comm = Communicator()
        comm.rank, comm.size, comm.parallel = rank, size, parallel
        ranks.append(comm)
    return ranks


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_the_slices_of_all_ranks_are_the_batch(size: int) -> None:
    batch = list(range(12))
    parts = [batch[comm.batch_slice(12)] for comm in make_ranks(size)]
    assert [number for part in parts for number in part] == batch
    assert {len(part) for part in parts} == {12 // size}


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("num_items", [0, 1, 3, 8])
def test_each_item_belongs_to_one_rank_and_shares_differ_by_at_most_one(
    size: int, num_items: int
) -> None:
    items = [f"item {index}" for index in range(num_items)]
    shards = [list(comm.shard(items)) for comm in make_ranks(size)]
    assert sorted(pair for shard in shards for pair in shard) == list(enumerate(items))
    lengths = [len(shard) for shard in shards]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("parallel", "optimizer", "gradients", "shards_model"),
    [("none", 1, 1, False), ("ddp", 1, 1, False), ("zero1", 4, 1, False), ("fsdp", 4, 4, True)],
)
def test_each_strategy_shards_its_part_of_the_state(
    parallel: str, optimizer: int, gradients: int, shards_model: bool
) -> None:
    comm = make_ranks(4, parallel)[0]
    found = (comm.optimizer_shards, comm.gradient_shards, comm.shards_model)
    assert found == (optimizer, gradients, shards_model)


def test_only_rank_0_writes() -> None:
    assert [comm.is_rank0 for comm in make_ranks(3)] == [True, False, False]


def test_collectives_of_a_single_process_return_their_input() -> None:
    tensor, values = torch.arange(3.0), np.array([1.0, 2.0])
    with SINGLE_PROCESS as comm:
        comm.all_reduce_mean([tensor])
        comm.broadcast(0, [tensor])
        assert torch.equal(tensor, torch.arange(3.0))
        assert comm.all_reduce_sum(values).tolist() == [1.0, 2.0]
        assert (comm.all_reduce_max(7), comm.all_gather("x")) == (7, ["x"])
        assert comm.broadcast_from_rank0(lambda: "value") == "value"


def test_a_single_process_passes_errors_on() -> None:
    with pytest.raises(RuntimeError, match="a bug"), SINGLE_PROCESS.reporting_lost_ranks():
        raise RuntimeError("a bug")
