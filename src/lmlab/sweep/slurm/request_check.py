"""Check resource requests against the cluster before anything is submitted.

Slurm itself refuses some impossible requests. Others it accepts and leaves pending forever, with a
reason such as ``PartitionTimeLimit`` that only ``squeue`` shows.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from lmlab.console.formatting import format_count
from lmlab.errors import ConfigError, suggestion
from lmlab.sweep.slurm.cluster_limits import ClusterLimits, Node, Partition, read_cluster_limits
from lmlab.sweep.slurm.resources import LAUNCHER, Resources
from lmlab.sweep.slurm.sbatch import check_accepted
from lmlab.sweep.slurm.settings import SlurmSettings


def check_requests(settings: SlurmSettings, arms: Iterable[str]) -> None:
    """Check the request of every arm, and that of the driver of a detached sweep.

    Raises:
        ConfigError: the cluster could never run a job.
        RefusedError: Slurm does not report its limits.
        UnreachableError: Slurm does not respond.
    """
    cluster = read_cluster_limits()
    submission = settings.submission
    requests: dict[Resources, Callable[[str], str]] = {}
    for arm in arms:
        resources = submission.resources.for_arm(arm)
        requests.setdefault(resources, partial(submission.resources.setting, arm))
    if not settings.wait:
        requests.setdefault(settings.driver, lambda key: f"{LAUNCHER}.driver.{key}")
    for resources, setting in requests.items():
        check_request(resources, cluster, setting)
        check_accepted(resources, submission.signal_seconds)


def check_request(
    resources: Resources, cluster: ClusterLimits, setting: Callable[[str], str]
) -> None:
    """Raise :class:`ConfigError` if no partition of a request could ever run it.

    Args:
        resources: the request.
        cluster: what the cluster offers.
        setting: returns the setting that holds a key of the request, such as
            ``hydra.launcher.driver.time_min``.
    """
    request = _Request(resources, setting)
    for key, known in (("account", cluster.accounts), ("qos", cluster.qos)):
        if known is not None and request.value(key) not in (None, *known):
            raise request.not_one_of(key, known)
    errors = []
    for one in request.partitions(cluster):
        error = next(request.errors(one, cluster), None)
        if error is None:
            return
        errors.append(error)
    if errors:
        raise errors[0]


@dataclasses.dataclass(frozen=True)
class _Request:
    """A request with the settings that define it; checks whether a partition can run it."""

    resources: Resources
    setting: Callable[[str], str]

    def value(self, key: str) -> object:
        return getattr(self.resources, key)

    def error(self, key: str, expected: str, help: str | None = None) -> ConfigError:
        value = self.value(key)
        shown = "null" if value is None else f"{value:g}" if isinstance(value, float) else value
        return ConfigError(f"{self.setting(key)}={shown}: expected {expected}", help)

    def not_one_of(self, key: str, known: Iterable[str]) -> ConfigError:
        names = sorted(known)
        near = suggestion(str(self.value(key)), names)
        return self.error(key, f"one of {', '.join(names)}", near)

    def partitions(self, cluster: ClusterLimits) -> list[Partition]:
        """Return the partitions of the request; Slurm uses the first that can run it."""
        known = cluster.partitions
        if not known:  # Slurm does not report them
            return []
        if self.resources.partition is None:
            default = [one for one in known.values() if one.is_default]
            if not default:
                raise self.not_one_of("partition", known)
            return default
        names = self.resources.partition.split(",")
        if not known.keys() >= set(names):
            raise self.not_one_of("partition", _names_up(known.values()))
        return [known[name] for name in names]

    def errors(self, one: Partition, cluster: ClusterLimits) -> Iterator[ConfigError]:
        """Yield why a partition can never run the request."""
        others = [other for other in cluster.partitions.values() if other is not one]
        if one.state != "UP":
            running = ", ".join(_names_up(others))
            yield self.error(
                "partition",
                f"a partition that is up, but {one.name} is {one.state}",
                f"set {self.setting('partition')} to one of {running}" if running else None,
            )
        yield from self._time_errors(one, others)
        if one.max_nodes is not None and self.resources.nodes > one.max_nodes:
            yield self.error("nodes", f"at most {one.max_nodes}, the limit of partition {one.name}")
        for key, allowed in (("account", one.accounts), ("qos", one.qos)):
            if allowed is not None and self.value(key) not in (None, *allowed):
                names = ", ".join(sorted(allowed))
                yield self.error(key, f"one of {names}, which partition {one.name} allows")
        if self.resources.account in one.denied_accounts:
            yield self.error("account", f"an account that partition {one.name} does not deny")
        yield from self._size_errors(one)
        if one.nodes:
            yield from self._node_errors(one)

    def _time_errors(self, one: Partition, others: Iterable[Partition]) -> Iterator[ConfigError]:
        minutes, limit = self.resources.time_min, one.max_minutes
        if limit is None or minutes <= limit:
            return
        longer = ", ".join(
            _names_up(p for p in others if p.max_minutes is None or p.max_minutes >= minutes)
        )
        move = f", or {self.setting('partition')} to one of {longer}" if longer else ""
        yield self.error(
            "time_min",
            f"at most {limit:g}, the time limit of partition {one.name}",
            f"set {self.setting('time_min')}={int(limit)}, at which a run saves and is requeued"
            f"{move}",
        )

    @property
    def _of_node(self) -> Node:
        """The least node that can take the job's part on a node."""
        ranks = self.resources.ranks // self.resources.nodes
        return Node(
            cpus=self.resources.cpus * ranks,
            memory_mb=round((self.resources.mem_gb or 0) * 1024),
            gpus=self.resources.gpus * ranks,
            features=frozenset(),
        )

    def _size_errors(self, one: Partition) -> Iterator[ConfigError]:
        """Yield what is more than any node has, or than a job may have on a node."""
        needed, ranks = self._of_node, self.resources.ranks // self.resources.nodes
        place = f"the nodes of partition {one.name}"

        def most(sizes: Iterable[int], limit: int | None) -> float:
            known = [max(sizes)] if one.nodes else []
            return min([*known, *([] if limit is None else [limit])], default=float("inf"))

        gpus = most((node.gpus for node in one.nodes), None)
        if needed.gpus > gpus:
            per_rank = f" ({self.resources.gpus} for each of {ranks} ranks)" if ranks > 1 else ""
            yield self.error(
                "gpus",
                f"at most {format_count(gpus, 'GPU')} per node{per_rank}, which {place} have",
            )
        cpus = most((node.cpus for node in one.nodes), one.max_cpus_per_node)
        if needed.cpus > cpus:
            per_rank = f" for the {ranks} ranks of a node" if ranks > 1 else ""
            reason = f"since jobs have at most {format_count(cpus, 'core')} on {place}"
            yield self.error("cpus", f"at most {cpus // ranks}{per_rank}, {reason}")
        memory = most((node.memory_mb for node in one.nodes), one.max_memory_mb)
        asked = needed.memory_mb or self._default_memory(one)
        if asked > memory:
            reason = f"since jobs have at most {memory} MB on {place}"
            if self.resources.mem_gb is None:
                reason += f", and without a request would get {asked} MB"
            yield self.error("mem_gb", f"at most {memory / 1024:.4g}, {reason}")

    def _default_memory(self, one: Partition) -> int:
        """Return the memory on a node of a job that asks for none; 0 if unknown."""
        if any(option.startswith("--mem") for option in self.resources.sbatch):
            return 0
        if one.memory_mb_per_cpu is not None:
            return one.memory_mb_per_cpu * self._of_node.cpus
        if one.memory_mb_per_node is not None:
            return one.memory_mb_per_node
        return min((node.memory_mb for node in one.nodes), default=0)

    def _node_errors(self, one: Partition) -> Iterator[ConfigError]:
        """Yield what the nodes do not have together."""
        nodes, needed = one.nodes, self._of_node
        features = sorted({feature for node in nodes for feature in node.features})
        for feature in re.findall(r"[A-Za-z_][\w.-]*", self.resources.constraint or ""):
            if not features:
                reason = f"since the nodes of partition {one.name} have no features"
                yield self.error("constraint", f"null, {reason}")
            elif feature not in features:
                yield self.error(
                    "constraint",
                    f"features of the nodes of partition {one.name}: {', '.join(features)}",
                    suggestion(feature, features),
                )
        if len(nodes) < self.resources.nodes:
            yield self.error("nodes", f"at most {len(nodes)}, as partition {one.name} has")
        fitting = [
            node for node in nodes
            if node.gpus >= needed.gpus and node.cpus >= needed.cpus
            and node.memory_mb >= needed.memory_mb
        ]  # fmt: skip
        if len(fitting) < self.resources.nodes:
            kinds = sorted({_size(node) for node in nodes}, reverse=True)
            yield self.error(
                "cpus",
                f"fewer, or another request: {len(fitting)} of {len(nodes)} nodes have "
                f"{_size(needed)}",
                f"partition {one.name} has nodes with {'; '.join(kinds[:4])}",
            )


def _names_up(partitions: Iterable[Partition]) -> list[str]:
    return [one.name for one in partitions if one.state == "UP"]


def _size(node: Node) -> str:
    cores, gpus = format_count(node.cpus, "core"), format_count(node.gpus, "GPU")
    return f"{cores}, {node.memory_mb} MB and {gpus}"
