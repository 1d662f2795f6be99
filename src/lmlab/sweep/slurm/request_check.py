"""Check resource requests against the cluster before anything is submitted.

Slurm itself refuses some impossible requests. Others it accepts and leaves pending forever, with a
reason such as ``PartitionTimeLimit`` that only ``squeue`` shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from lmlab.errors import ConfigError, suggestion
from lmlab.sweep.slurm.cluster_limits import ClusterLimits, Node, Partition, read_cluster_limits
from lmlab.sweep.slurm.resources import LAUNCHER, Resources
from lmlab.sweep.slurm.sbatch import check_accepted
from lmlab.sweep.slurm.settings import SlurmSettings

Setting = Callable[[str], str]


def check_requests(settings: SlurmSettings, arms: Iterable[str]) -> None:
    """Check the request of every arm, and that of the driver of a detached sweep.

    Raises:
        ConfigError: the cluster could never run a job.
        RefusedError: Slurm does not tell its limits.
        UnreachableError: Slurm does not respond.
    """
    cluster = read_cluster_limits()
    submission = settings.submission
    requests: dict[Resources, Setting] = {}
    for arm in arms:
        resources = submission.resources.for_arm(arm)
        requests.setdefault(resources, partial(submission.resources.setting, arm))
    if not settings.wait:
        requests.setdefault(settings.driver, lambda key: f"{LAUNCHER}.driver.{key}")
    for resources, setting in requests.items():
        check_request(resources, cluster, setting)
        check_accepted(resources, submission.signal_seconds)


def check_request(resources: Resources, cluster: ClusterLimits, setting: Setting) -> None:
    """Raise :class:`ConfigError` if no partition of a request could ever run it.

    Args:
        resources: the request.
        cluster: what the cluster offers.
        setting: returns the setting that holds a key of the request, such as
            ``hydra.launcher.driver.time_min``.
    """
    for key, known in (("account", cluster.accounts), ("qos", cluster.qos)):
        value = getattr(resources, key)
        if value is not None and known is not None and value not in known:
            raise _not_one_of(setting(key), value, known)
    errors = []
    for partition in _requested(resources, cluster, setting):
        error = next(_errors(resources, partition, cluster, setting), None)
        if error is None:
            return
        errors.append(error)
    if errors:
        raise errors[0]


def _requested(resources: Resources, cluster: ClusterLimits, setting: Setting) -> list[Partition]:
    """Return the partitions of a request; Slurm uses the first that can run it."""
    if resources.partition is None:
        default = [one for one in cluster.partitions.values() if one.is_default]
        if cluster.partitions and not default:
            names = ", ".join(sorted(cluster.partitions))
            raise ConfigError(
                f"{setting('partition')}=null: expected one of {names}, because the cluster has no "
                "default partition"
            )
        return default
    found = []
    for name in resources.partition.split(","):
        if name not in cluster.partitions and cluster.partitions:
            running = [one.name for one in cluster.partitions.values() if one.state == "UP"]
            raise _not_one_of(setting("partition"), resources.partition, running)
        found += [cluster.partitions[name]] if cluster.partitions else []
    return found


def _not_one_of(key: str, value: str, known: Iterable[str]) -> ConfigError:
    names = sorted(known)
    return ConfigError(f"{key}={value}: expected one of {', '.join(names)}", suggestion(value, names))


def _errors(
    resources: Resources, partition: Partition, cluster: ClusterLimits, setting: Setting
) -> Iterator[ConfigError]:
    """Yield why a partition can never run a request."""
    others = [one for one in cluster.partitions.values() if one is not partition]
    name = f"partition {partition.name}"
    if partition.state != "UP":
        running = [one.name for one in others if one.state == "UP"]
        yield ConfigError(
            f"{setting('partition')}={resources.partition or 'null'}: expected a partition that is up, "
            f"but {partition.name} is {partition.state}",
            f"set {setting('partition')} to one of {', '.join(running)}" if running else None,
        )
    limit = partition.max_minutes
    if limit is not None and resources.time_min > limit:
        longer = [
            one.name
            for one in others
            if one.state == "UP"
            and (one.max_minutes is None or one.max_minutes >= resources.time_min)
        ]
        elsewhere = f", or {setting('partition')} to one of {', '.join(longer)}" if longer else ""
        yield ConfigError(
            f"{setting('time_min')}={resources.time_min}: expected at most {limit:g}, the time limit of "
            f"{name}",
            f"set {setting('time_min')}={int(limit)}, at which a run saves and is requeued{elsewhere}",
        )
    if partition.max_nodes is not None and resources.nodes > partition.max_nodes:
        yield ConfigError(
            f"{setting('nodes')}={resources.nodes}: expected at most {partition.max_nodes}, the limit "
            f"of {name}"
        )
    for key, allowed in (("account", partition.accounts), ("qos", partition.qos)):
        value = getattr(resources, key)
        if value is not None and allowed is not None and value not in allowed:
            yield ConfigError(
                f"{setting(key)}={value}: expected one of {', '.join(sorted(allowed))}, which "
                f"{name} allows"
            )
    if resources.account in partition.denied_accounts:
        yield ConfigError(
            f"{setting('account')}={resources.account}: expected an account that {name} does not deny"
        )
    yield from _node_errors(resources, partition, setting)


def _node_errors(
    resources: Resources, partition: Partition, setting: Setting
) -> Iterator[ConfigError]:
    """Yield what no node of a partition has."""
    ranks = resources.ranks // resources.nodes
    gpus, cpus = resources.gpus * ranks, resources.cpus * ranks
    memory = 0 if resources.mem_gb is None else round(resources.mem_gb * 1024)
    nodes, place = partition.nodes, f"the nodes of partition {partition.name}"

    def largest(of: Callable[[Node], int], limit: int | None) -> int | None:
        """The most that a job may have on a node; None if unknown."""
        sizes = [max(map(of, nodes))] if nodes else []
        return min([*sizes, *([] if limit is None else [limit])], default=None)

    most = largest(lambda node: node.gpus, None)
    if most is not None and gpus > most:
        per_rank = f" ({resources.gpus} for each of {ranks} ranks)" if ranks > 1 else ""
        yield ConfigError(
            f"{setting('gpus')}={resources.gpus}: expected at most {most} GPUs per node{per_rank}, "
            f"which {place} have"
        )
    most = largest(lambda node: node.cpus, partition.max_cpus_per_node)
    if most is not None and cpus > most:
        per_rank = f" for the {ranks} ranks of a node" if ranks > 1 else ""
        yield ConfigError(
            f"{setting('cpus')}={resources.cpus}: expected at most {most // ranks}{per_rank}, since "
            f"jobs have at most {most} cores on {place}"
        )
    most = largest(lambda node: node.memory_mb, partition.max_memory_mb)
    if most is not None and memory > most:
        yield ConfigError(
            f"{setting('mem_gb')}={resources.mem_gb:g}: expected at most {most / 1024:.4g}, since jobs "
            f"have at most {most} MB on {place}"
        )
    if not nodes:
        return
    features = {feature for node in nodes for feature in node.features}
    for feature in re.findall(r"[A-Za-z_][\w.-]*", resources.constraint or ""):
        if feature not in features:
            known = f"features of {place}: {', '.join(sorted(features))}"
            yield ConfigError(
                f"{setting('constraint')}={resources.constraint}: expected "
                f"{known if features else f'null, since {place} have no features'}",
                suggestion(feature, features),
            )
    if len(nodes) < resources.nodes:
        yield ConfigError(
            f"{setting('nodes')}={resources.nodes}: expected at most {len(nodes)}, since partition "
            f"{partition.name} has {len(nodes)}"
        )
    fitting = [n for n in nodes if n.gpus >= gpus and n.cpus >= cpus and n.memory_mb >= memory]
    if len(fitting) < resources.nodes:
        wanted = f"{cpus} cores, {memory} MB and {gpus} GPUs"
        yield ConfigError(
            f"{setting('cpus')}={resources.cpus}: no node has {wanted}: {place} have "
            f"{'; '.join(_describe_nodes(nodes))}",
            f"lower {setting('cpus')}, mem_gb or gpus, or choose another partition",
        )


def _describe_nodes(nodes: Iterable[Node]) -> list[str]:
    kinds = sorted({(node.cpus, node.memory_mb, node.gpus) for node in nodes}, reverse=True)
    return [f"{cpus} cores, {memory} MB, {gpus} GPUs" for cpus, memory, gpus in kinds[:4]]
