"""A rank that uses every collective; a module, so that processes can import it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmlab.distributed import buckets
from lmlab.distributed.process_group import ProcessGroup, join
from lmlab.errors import ConfigError
from lmlab.runtime.device import Device
from lmlab.runtime.launch_env import LaunchEnv
from lmlab.runtime.precision import PrecisionPolicy


def device_of(kind: str) -> Device:
    return Device(torch.device(kind), PrecisionPolicy("exact"), compile=False, threads=1)


def exchange(comm: ProcessGroup) -> dict[str, Any]:
    """Use every collective; return what this rank sees."""
    buckets.BUCKET_BYTES = 32  # several buckets
    rank = float(comm.rank)
    means = [torch.full((size,), rank + size) for size in (3, 7, 1, 40)]
    half = torch.full((3,), rank, dtype=torch.bfloat16)
    sent = [torch.arange(5.0) * (rank + 1), torch.full((2, 2), rank)]
    comm.all_reduce_mean([*means, half])
    sums = [torch.arange(size) + comm.rank for size in (6, 2)]  # int64
    comm.sum_tensors(sums)
    comm.broadcast(1, sent)
    return {
        "mean": [tensor.tolist() for tensor in [*means, half]],
        "totals": [tensor.tolist() for tensor in sums],
        "broadcast": [tensor.tolist() for tensor in sent],
        "sum": comm.all_reduce_sum(np.array([rank, 0.1])).tolist(),
        "max": comm.all_reduce_max(7 - comm.rank),
        "gathered": comm.all_gather({"rank": comm.rank}),
        "results": [comm.broadcast_from_rank0(lambda: f"{comm.rank} {n}") for n in (0, 1)],  # noqa: B023
        "devices": refusals(comm),
    }


def refusals(comm: ProcessGroup) -> list[str]:
    found = []
    for kind in ("mps", "cuda:1"):
        try:
            comm.assign_device(device_of(kind))
        except ConfigError as error:
            found.append(str(error))
    return found


def use_collectives(rank: int, port: int, folder: str) -> None:
    """Be one of two ranks; save what it sees."""
    env = LaunchEnv(rank, 2, rank, ("127.0.0.1", port))
    with join("auto", env) as comm:
        assert isinstance(comm, ProcessGroup)
        torch.save(exchange(comm), Path(folder) / f"{rank}.pt")
