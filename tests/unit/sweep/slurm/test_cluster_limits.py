"""What Slurm says of a cluster, in the words of versions 22.05 and 23.11."""

from __future__ import annotations

import pytest
from fake_slurm import FakeSlurm

from lmlab.sweep.slurm import cluster_limits
from lmlab.sweep.slurm.cluster_limits import (
    Node,
    parse_minutes,
    read_cluster_limits,
    read_max_array_size,
)

PARTITIONS = (
    "PartitionName=gpu AllowGroups=ALL AllowAccounts=lab,other AllowQos=ALL Default=YES "
    "DefaultTime=NONE GraceTime=0 MaxNodes=2 MaxTime=1-12:30:00 MinNodes=0 "
    "MaxCPUsPerNode=UNLIMITED Nodes=n[1-2] State=UP TotalCPUs=48 TotalNodes=2 "
    "DefMemPerNode=UNLIMITED MaxMemPerNode=64000 TRES=cpu=48,mem=96G\n"
    "PartitionName=cloud AllowAccounts=ALL DenyAccounts=guest AllowQos=long Default=NO "
    "MaxNodes=UNLIMITED MaxTime=UNLIMITED MaxCPUsPerNode=8 Nodes=c[1-9] State=DOWN TotalNodes=9\n"
)
NODES = (
    "NodeName=n1 Arch=x86_64 CPUAlloc=0 CPUEfctv=22 CPUTot=24 CPULoad=1.8 "
    "AvailableFeatures=a100,nvlink ActiveFeatures=a100 Gres=gpu:a100:4(S:0-1),shard:8 "
    "OS=Linux 6.18 #1 SMP RealMemory=96000 State=IDLE Partitions=gpu,cloud CfgTRES=cpu=24\n"
    "NodeName=n2 CPUTot=24 AvailableFeatures=(null) Gres=gpu:2,gpu:v100:1 RealMemory=48000 "
    "State=DOWN Partitions=gpu Reason=no power [root@2026]\n"
)
CONFIG = (
    "Configuration data as of 2026\nMaxArraySize            = 1001\nDefMemPerCPU = 2000\n"
    "MaxMemPerNode           = UNLIMITED\n"
)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The output of commands by their last words; the fake answers one text to each program."""
    known = {"node": NODES, "partition": PARTITIONS, "config": CONFIG}
    monkeypatch.setattr(cluster_limits, "run_command", lambda *command: known[command[-1]])
    return known


def test_partitions_and_nodes_are_read(answers: dict[str, str]) -> None:
    cluster = read_cluster_limits()
    gpu, cloud = cluster.partitions["gpu"], cluster.partitions["cloud"]
    assert (gpu.is_default, gpu.state, gpu.max_minutes, gpu.max_nodes) == (True, "UP", 2190, 2)
    assert (gpu.max_cpus_per_node, gpu.max_memory_mb) == (None, 64000)
    assert (gpu.memory_mb_per_node, gpu.memory_mb_per_cpu) == (None, 2000)
    assert (cloud.max_memory_mb, cloud.memory_mb_per_cpu) == (None, 2000), "those of the cluster"
    assert gpu.accounts == {"lab", "other"} and gpu.qos is None and not gpu.denied_accounts
    assert gpu.nodes == [
        Node(22, 96000, 4, frozenset(("a100", "nvlink"))), Node(24, 48000, 3, frozenset()),
    ]  # fmt: skip
    assert (cloud.is_default, cloud.state, cloud.max_minutes) == (False, "DOWN", None)
    assert (cloud.max_cpus_per_node, cloud.denied_accounts) == (8, {"guest"})
    assert cloud.qos == {"long"}
    assert cloud.nodes == (), "Slurm lists one of its nine nodes"
    assert cluster.accounts is None and cluster.qos is None


def test_accounts_count_only_where_the_cluster_enforces_them(
    answers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_limits.getpass, "getuser", lambda: "ada")
    answers["config"] = "AccountingStorageEnforce = associations,limits,qos,safe\n"
    answers["format=Account,QOS"] = "lab|normal,long\nother|normal\n"
    cluster = read_cluster_limits()
    assert cluster.accounts == {"lab", "other"}
    assert cluster.qos == {"normal", "long"}


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("00:05:00", 5), ("2-00:00:30", 2880.5), ("UNLIMITED", None), ("", None), ("NONE", None)],
)
def test_time_limits(text: str, minutes: float | None) -> None:
    assert parse_minutes(text) == minutes


def test_the_size_of_arrays(slurm: FakeSlurm) -> None:
    slurm.answer("scontrol", CONFIG)
    assert read_max_array_size() == 1001
    slurm.answer("scontrol", "nothing of interest")
    assert read_max_array_size() is None
    slurm.fail("scontrol")
    assert read_max_array_size() is None
