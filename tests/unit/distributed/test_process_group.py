from __future__ import annotations

import datetime
import socket

import pytest
import torch
from rank_process import device_of

from lmlab.distributed import process_group
from lmlab.distributed.communicator import SINGLE_PROCESS
from lmlab.distributed.process_group import ProcessGroup, join
from lmlab.errors import ConfigError, LostRankError
from lmlab.runtime.launch_env import LaunchEnv


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize("parallel", ["auto", "none"])
def test_one_process_needs_no_group(parallel: str) -> None:
    assert join(parallel, LaunchEnv()) is SINGLE_PROCESS


def test_several_processes_are_refused_where_one_is_expected() -> None:
    with pytest.raises(ConfigError, match=r"runtime\.parallel=none: .* 2 were started\nhelp: "):
        join("none", LaunchEnv(0, 2))


def test_a_group_may_have_one_process() -> None:
    with join("zero1", LaunchEnv()) as comm:
        assert isinstance(comm, ProcessGroup)
        assert (comm.rank, comm.size, comm.parallel) == (0, 1, "zero1")
        assert comm.num_sharing_cores == 1
        tensor = torch.arange(3.0)
        comm.all_reduce_mean([tensor])
        assert tensor.tolist() == [0, 1, 2]
        assert comm.assign_device(device_of("cpu")) == device_of("cpu")


def test_a_rank_that_finds_no_other_reports_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "TIMEOUT", datetime.timedelta(seconds=1))
    with pytest.raises(LostRankError, match=r"^rank 0 of 2 cannot connect to the other ranks"):
        join("ddp", LaunchEnv(0, 2, 0, ("127.0.0.1", free_port())))
