from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from rank_process import use_collectives
from warm import call

from lmlab.distributed.process_group import ProcessGroup, join
from lmlab.errors import RankError
from lmlab.runtime.launch_env import LaunchEnv


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks sees."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [call(use_collectives, rank, port, str(folder)) for rank in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_all_ranks_get_the_mean_of_tensors_in_any_bucket(ranks) -> None:
    for found in ranks:
        assert found["mean"] == [[size + 0.5] * size for size in (3, 7, 1, 40)] + [[0.5] * 3]


def test_all_ranks_get_the_sum_of_counts(ranks) -> None:
    for found in ranks:
        assert found["totals"] == [[1, 3, 5, 7, 9, 11], [1, 3]]


def test_all_ranks_get_the_tensors_of_the_source(ranks) -> None:
    for found in ranks:
        assert found["broadcast"] == [[0, 2, 4, 6, 8], [[1, 1], [1, 1]]]


def test_host_values_are_summed_compared_and_gathered(ranks) -> None:
    for found in ranks:
        assert found["sum"] == [1.0, 0.2]
        assert found["max"] == 7
        assert found["gathered"] == [{"rank": 0}, {"rank": 1}]


def test_results_of_rank_0_arrive_in_order(ranks) -> None:
    for found in ranks:
        assert found["results"] == ["0 0", "0 1"]


def test_devices_that_several_ranks_cannot_share_are_refused(ranks) -> None:
    for found in ranks:
        mps, cuda = found["devices"]
        assert mps.startswith("runtime.device=mps: expected cpu or cuda with several ranks")
        assert cuda.startswith("runtime.device=cuda:1: expected auto, cuda or cpu")


def test_a_failed_collective_names_the_rank_that_failed() -> None:
    with join("fsdp", LaunchEnv()) as comm:
        assert isinstance(comm, ProcessGroup)
        with pytest.raises(RuntimeError, match="a bug"), comm.reporting_lost_ranks():
            raise RuntimeError("a bug")  # no rank has failed: an error of this rank
        comm._peers.report_failure("a=1: expected 2")
        with pytest.raises(RankError, match="rank 0 failed: a=1"), comm.reporting_lost_ranks():
            raise RuntimeError("Connection closed by peer")
