"""Requests that the cluster could never run are refused with the values that it accepts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lmlab.errors import ConfigError
from lmlab.sweep.slurm.cluster_limits import ClusterLimits, Node, Partition
from lmlab.sweep.slurm.request_check import check_request
from lmlab.sweep.slurm.resources import Resources

BIG = Node(cpus=64, memory_mb=512_000, gpus=0, features=frozenset(("fast",)))
GPU = Node(cpus=16, memory_mb=64_000, gpus=4, features=frozenset(("a100",)))


def partition(name: str, **changes: Any) -> Partition:
    return dataclasses.replace(
        Partition(
            name, False, "UP", None, None, None, None, None, None, None, frozenset(), None, ()
        ),
        **changes,
    )


CLUSTER = ClusterLimits(
    {
        "main": partition("main", is_default=True, max_minutes=300, nodes=[GPU, GPU, BIG]),
        "short": partition("short", max_minutes=5, max_nodes=1, max_memory_mb=1000, nodes=[GPU]),
        "long": partition("long", accounts=frozenset(("lab",)), qos=frozenset(("slow",))),
        "percpu": partition("percpu", max_memory_mb=4000, memory_mb_per_cpu=1000, nodes=[GPU]),
        "broken": partition("broken", state="DOWN"),
        "shared": partition("shared", max_cpus_per_node=4, denied_accounts=frozenset(("guest",))),
    },
    accounts=frozenset(("lab", "guest")),
    qos=frozenset(("slow", "normal")),
)


def check(cluster: ClusterLimits = CLUSTER, **request: Any) -> None:
    check_request(Resources(**request), cluster, lambda key: f"at.{key}")


def refusal(**request: Any) -> str:
    """Return why a request is refused; empty if it is accepted."""
    try:
        check(**request)
    except ConfigError as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"partition": "mian"}, "at.partition=mian: expected one of long, main, percpu, shared, "
         'short\nhelp: did you mean "main"?'),
        ({"partition": "broken"}, "at.partition=broken: expected a partition that is up, but "
         "broken is DOWN\nhelp: set at.partition to one of main, short, long, percpu, shared"),
        ({"time_min": 301}, "at.time_min=301: expected at most 300, the time limit of partition "
         "main\nhelp: set at.time_min=300, at which a run saves and is requeued, or at.partition "
         "to one of long, percpu, shared"),
        ({"partition": "short", "time_min": 6}, "at most 5, the time limit of partition short"),
        ({"partition": "short", "time_min": 5, "mem_gb": 1.5}, "at.mem_gb=1.5: expected at most "
         "0.9766, since jobs have at most 1000 MB on the nodes of partition short"),
        ({"partition": "short", "time_min": 5}, "at.mem_gb=null: expected at most 0.9766, since "
         "jobs have at most 1000 MB on the nodes of partition short, and without a request would "
         "get 64000 MB"),
        ({"partition": "percpu", "cpus": 5}, "at.mem_gb=null: expected at most 3.906, since jobs "
         "have at most 4000 MB on the nodes of partition percpu, and without a request would get"),
        ({"partition": "short", "time_min": 5, "nodes": 2, "ranks": 2}, "at.nodes=2: expected at "
         "most 1, the limit of partition short"),
        ({"nodes": 4, "ranks": 4}, "at.nodes=4: expected at most 3, as partition main has"),
        ({"gpus": 5}, "at.gpus=5: expected at most 4 GPUs per node, which the nodes of"),
        ({"gpus": 1, "ranks": 5}, "at.gpus=1: expected at most 4 GPUs per node (1 for each of 5 "
         "ranks)"),
        ({"cpus": 65}, "at.cpus=65: expected at most 64, since jobs have at most 64 cores"),
        ({"cpus": 40, "ranks": 2}, "at.cpus=40: expected at most 32 for the 2 ranks of a node"),
        ({"mem_gb": 501}, "at.mem_gb=501: expected at most 500, since jobs have at most 512000"),
        ({"partition": "shared", "cpus": 5}, "at.cpus=5: expected at most 4"),
        ({"gpus": 1, "cpus": 32}, "at.cpus=32: expected fewer, or another request: 0 of 3 nodes "
         "have 32 cores, 0 MB and 1 GPU\nhelp: partition main has nodes with 64 cores, 512000 MB "
         "and 0 GPUs; 16 cores, 64000 MB and 4 GPUs"),
        ({"cpus": 32, "ranks": 2, "nodes": 2}, "at.cpus=32: expected fewer, or another request: 1 "
         "of 3 nodes have 32 cores"),
        ({"constraint": "a10"}, "at.constraint=a10: expected features of the nodes of partition "
         'main: a100, fast\nhelp: did you mean "a100"?'),
        ({"constraint": "[fast|h100]"}, "at.constraint=[fast|h100]: expected features"),
        ({"account": "labs"}, "at.account=labs: expected one of guest, lab"),
        ({"qos": "fast"}, "at.qos=fast: expected one of normal, slow"),
        ({"partition": "long", "account": "guest"}, "at.account=guest: expected one of lab, which "
         "partition long allows"),
        ({"partition": "long", "qos": "normal"}, "at.qos=normal: expected one of slow"),
        ({"partition": "shared", "account": "guest"}, "expected an account that partition shared "
         "does not deny"),
        ({"partition": "short,broken"}, "at.time_min=240: expected at most 5"),
    ],
)  # fmt: skip
def test_what_no_job_can_have_is_refused(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(**request_)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"time_min": 300, "gpus": 4, "cpus": 16, "mem_gb": 62},
        {"gpus": 1, "ranks": 8, "nodes": 2},
        {"constraint": "a100|fast"},
        {"partition": "short,main"},  # one of them suffices
        {"partition": "broken,main"},
        {"partition": "percpu", "cpus": 4},
        {"partition": "short", "time_min": 5, "sbatch": ("--mem-per-cpu=100",)},
        {"partition": "long", "cpus": 999, "gpus": 99, "time_min": 99999},  # its nodes are unknown
        {"account": "lab", "qos": "slow", "partition": "long"},
    ],
)
def test_what_some_job_can_have_is_accepted(request_: dict[str, Any]) -> None:
    assert refusal(**request_) == ""


def test_a_cluster_may_have_no_default_and_may_not_tell() -> None:
    with pytest.raises(ConfigError, match=r"at\.partition=null: expected one of broken"):
        check(ClusterLimits({"broken": CLUSTER.partitions["broken"]}))
    check(ClusterLimits({}), partition="any", account="any", cpus=999)
