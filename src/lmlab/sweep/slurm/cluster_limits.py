"""What the cluster offers: its partitions and nodes, and how many jobs it accepts."""

from __future__ import annotations

import dataclasses
import getpass
import re
from collections.abc import Iterator, Mapping, Sequence

from lmlab.sweep.slurm.commands import RefusedError, UnreachableError, run_command


@dataclasses.dataclass(frozen=True)
class Node:
    """A machine as slurm.conf describes it, whatever its state.

    Attributes:
        cpus: cores (or hardware threads, where Slurm counts them) that jobs can use.
        memory_mb: memory that jobs can use.
        gpus: number of GPUs.
        features: names that ``constraint`` can ask for.
    """

    cpus: int
    memory_mb: int
    gpus: int
    features: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Partition:
    """A partition, with None for limits that it does not have.

    Attributes:
        name: as given to ``hydra.launcher.partition``.
        is_default: whether jobs that name no partition go there.
        state: ``UP``, ``DOWN`` (jobs wait), ``DRAIN`` or ``INACTIVE`` (jobs are refused).
        max_minutes: the longest time limit.
        max_nodes: most nodes of a job.
        max_cpus_per_node: most cores of a job on a node.
        max_memory_mb: most memory of a job on a node.
        memory_mb_per_node: memory on a node of a job that asks for none.
        memory_mb_per_cpu: the same, for each of its cores. With neither, it gets the whole node.
        accounts: the accounts that may use it; None for all.
        denied_accounts: accounts that may not.
        qos: the qualities of service that may use it; None for all.
        nodes: its nodes; empty if Slurm does not list all of them.
    """

    name: str
    is_default: bool
    state: str
    max_minutes: float | None
    max_nodes: int | None
    max_cpus_per_node: int | None
    max_memory_mb: int | None
    memory_mb_per_node: int | None
    memory_mb_per_cpu: int | None
    accounts: frozenset[str] | None
    denied_accounts: frozenset[str]
    qos: frozenset[str] | None
    nodes: Sequence[Node]


@dataclasses.dataclass(frozen=True)
class ClusterLimits:
    """The limits of a cluster.

    Attributes:
        partitions: by name.
        accounts: the accounts of this user; None if the cluster does not enforce accounts.
        qos: the qualities of service of this user, by the same rule.
    """

    partitions: Mapping[str, Partition]
    accounts: frozenset[str] | None = None
    qos: frozenset[str] | None = None


def read_cluster_limits() -> ClusterLimits:
    """Ask Slurm for the limits of the cluster.

    Raises:
        UnreachableError: Slurm does not respond.
        RefusedError: Slurm does not report them.
    """
    nodes: dict[str, list[Node]] = {}
    for record in _records(run_command("scontrol", "--all", "--oneliner", "show", "node")):
        for name in record.get("Partitions", "").split(","):
            nodes.setdefault(name, []).append(_node(record))
    listed = _records(run_command("scontrol", "--all", "--oneliner", "show", "partition"))
    config = run_command("scontrol", "show", "config")
    partitions = [
        _partition(record, nodes.get(record["PartitionName"], []), config)
        for record in listed
        if "PartitionName" in record
    ]
    accounts, qos = _associations(_setting(config, "AccountingStorageEnforce") or "")
    return ClusterLimits({one.name: one for one in partitions}, accounts, qos)


def read_max_array_size() -> int | None:
    """Return the most jobs of an array; None if Slurm does not report it."""
    try:
        size = _number(_setting(run_command("scontrol", "show", "config"), "MaxArraySize"))
    except (UnreachableError, RefusedError):
        return None
    return None if size is None else max(1, size)


def parse_minutes(text: str) -> float | None:
    """Convert ``[days-]hours:minutes:seconds``; None for ``UNLIMITED``."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return days * 1440 + hours * 60 + minutes + seconds / 60


def _setting(config: str, name: str) -> str | None:
    """Return a value of the output of ``scontrol show config``."""
    found = re.search(rf"^{name}\s*=\s*(.*?)\s*$", config, flags=re.M)
    return found[1] if found else None


def _records(text: str) -> Iterator[dict[str, str]]:
    for line in text.splitlines():
        yield dict(re.findall(r"(?<!\S)([A-Za-z]+)=(\S*)", line))


def _node(record: Mapping[str, str]) -> Node:
    gpus = re.findall(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)", record.get("Gres", ""))
    features = record.get("AvailableFeatures", "(null)")
    return Node(
        cpus=int(record.get("CPUEfctv") or record.get("CPUTot") or 0),
        memory_mb=int(record.get("RealMemory", 0)),
        gpus=sum(map(int, gpus)),
        features=frozenset() if features == "(null)" else frozenset(features.split(",")),
    )


def _partition(record: Mapping[str, str], nodes: Sequence[Node], config: str) -> Partition:

    def limit(name: str) -> int | None:
        """Return a limit of the partition, else of the cluster."""
        own = _number(record.get(name))
        return own if own is not None else _number(_setting(config, name))

    # Nodes that a cloud has not started yet may be hidden.
    are_all_listed = len(nodes) >= (_number(record.get("TotalNodes")) or 1)
    return Partition(
        name=record["PartitionName"],
        is_default=record.get("Default") == "YES",
        state=record.get("State", "UP"),
        max_minutes=parse_minutes(record.get("MaxTime", "")),
        max_nodes=_number(record.get("MaxNodes")),
        max_cpus_per_node=_number(record.get("MaxCPUsPerNode")),
        max_memory_mb=limit("MaxMemPerNode"),
        memory_mb_per_node=limit("DefMemPerNode"),
        memory_mb_per_cpu=limit("DefMemPerCPU"),
        accounts=_names(record.get("AllowAccounts")),
        denied_accounts=_names(record.get("DenyAccounts")) or frozenset(),
        qos=_names(record.get("AllowQos")),
        nodes=nodes if are_all_listed else (),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _names(text: str | None) -> frozenset[str] | None:
    return None if text in (None, "", "ALL", "(null)") else frozenset(str(text).split(","))


def _associations(enforced: str) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    """Return the accounts and qualities of service of this user, where the cluster enforces them.

    Args:
        enforced: what the cluster enforces, such as ``associations,limits,qos``.
    """
    if "associations" not in enforced:
        return None, None
    try:
        listed = run_command(
            "sacctmgr", "--noheader", "--parsable2", "show", "associations",
            f"user={getpass.getuser()}", "format=Account,QOS",
        )  # fmt: skip
    except (UnreachableError, RefusedError):
        return None, None
    rows = [line.split("|") for line in listed.splitlines() if line.count("|") == 1]
    accounts = frozenset(account for account, _ in rows if account)
    qos = frozenset(name for _, names in rows for name in names.split(",") if name)
    return accounts or None, qos if qos and "qos" in enforced else None
