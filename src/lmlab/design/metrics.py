"""What arms are judged by besides the loss: scores of tasks and probes, by the names in settings.

``design.metrics`` lists ``loss`` (or ``bits_per_byte``), and any of

- ``<task>``, a task of ``validation.tasks`` by the first of its scores;
- ``<task>.<score>``, such as ``blimp.margin``;
- ``probes.<probe>`` and ``probes.<probe>.<score>``, see :mod:`lmlab.tasks.probes`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.config.task_settings import TaskEntry, parse_tasks
from lmlab.design.comparison import METRICS, Comparison
from lmlab.errors import ConfigError, suggestion
from lmlab.tasks.probe_scores import GROUP
from lmlab.tasks.probe_scores import SCORES as PROBE_SCORES

# Scores by the kind of the items; the first one stands for the task.
TASK_SCORES = {
    "pairs": ("accuracy", "accuracy_norm", "margin", "margin_per_byte"),
    "choice": ("accuracy", "accuracy_norm", "margin", "margin_per_byte"),
    "cloze": ("accuracy", "log_likelihood", "perplexity"),
    "text": ("bits_per_byte", "loss"),
}
_OF_ANY_KIND = tuple(dict.fromkeys(score for scores in TASK_SCORES.values() for score in scores))
_LOWER_IS_BETTER = ("loss", "bits_per_byte", "perplexity", "kl")
_NOT_OF_ITEMS = ("loss", "bits_per_byte", "perplexity")  # no means over items
_UNITS = {
    "accuracy": "share of items", "accuracy_norm": "share of items", "margin": "nats per item",
    "margin_per_byte": "nats per byte", "log_likelihood": "nats per item", "kl": "nats per item",
    "perplexity": "perplexity", **METRICS,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number that arms are judged by.

    Attributes:
        name: as ``design.metrics`` lists it.
        score: key of a validation row, or score of the task or probe.
        task: name of the task or probe; empty for the loss.
        is_probe: whether ``task`` is a probe.
    """

    name: str
    score: str
    task: str = ""
    is_probe: bool = False

    @property
    def is_higher_better(self) -> bool:
        """Whether a higher score is better."""
        return self.score not in _LOWER_IS_BETTER

    @property
    def is_of_items(self) -> bool:
        """Whether the score is a mean over items, so that runs are compared item by item."""
        return bool(self.task) and self.score not in _NOT_OF_ITEMS

    @property
    def is_share(self) -> bool:
        """Whether the score is a share of right answers, from 0 to 1."""
        return self.score.startswith("accuracy")

    @property
    def is_of_tokens(self) -> bool:
        """Whether it has no meaning across tokenizers: nats per token, or answers chosen by it."""
        return self.is_probe or self.score == "loss"

    @property
    def items_name(self) -> str:
        """The name under which a run keeps the items: ``blimp``, ``probes/plots``."""
        return f"{GROUP}/{self.task}" if self.is_probe else self.task

    @property
    def row_kind(self) -> str:
        """The kind of the rows of ``metrics.jsonl`` that have the score."""
        if not self.task:
            return "validation"
        return GROUP if self.is_probe else "tasks"

    @property
    def unit(self) -> str:
        """The unit of a difference."""
        return _UNITS[self.score]

    @property
    def title(self) -> str:
        """The name with the score, for headings."""
        if not self.task or self.name.endswith(f".{self.score}"):
            return self.name
        return f"{self.name} ({self.score.replace('_', ' ')})"


def main_metric(design: Comparison) -> Metric:
    """Return the metric by which learning rates are chosen and runs count as diverged."""
    return Metric(design.metric, design.metric)


def further_metrics(design: Comparison, config: Mapping[str, Any]) -> list[Metric]:
    """Return what arms are judged by besides the main metric, in the order of the settings.

    Args:
        design: declaration of the study.
        config: configuration of one of its arms, which all have the same tasks.

    Raises:
        ConfigError: a name is not that of a score.
    """
    names = [name for name in design.metrics if name != design.metric]
    if not names:
        return []
    entries = parse_tasks((config.get("validation") or {}).get("tasks"))
    kinds = {entry.name: entry.kind for entry in entries}
    return [_resolve(name, kinds, design.metric) for name in names]


def check_metrics(design: Comparison, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that every arm measures the metrics, before any text is prepared.

    Names of probes are checked where the text is prepared, which has them.

    Args:
        design: declaration of the study.
        configs: configuration of each arm.

    Raises:
        ConfigError: a name is not that of a score, or arms have different tasks.
        DataError: the file of a task cannot be read.
    """
    if not design.metrics:
        return
    first, *others = configs
    tasks = {
        arm: parse_tasks((content.get("validation") or {}).get("tasks"))
        for arm, content in configs.items()
    }
    probes = {
        arm: (content.get("validation") or {}).get("probes", 0) for arm, content in configs.items()
    }
    kinds = {
        entry.name: entry.kind or _kind_in_file(entry)
        for entry in tasks[first]
        if any(name == entry.name or name.startswith(f"{entry.name}.") for name in design.metrics)
    }
    known = kinds | {entry.name: entry.kind for entry in tasks[first] if entry.name not in kinds}
    metrics = [_resolve(name, known, design.metric) for name in design.metrics]
    for arm in others:
        if tasks[arm] != tasks[first] and any(one.row_kind == "tasks" for one in metrics):
            raise ConfigError(
                f"design.arms.{arm}: expected the tasks of {first}, because design.metrics "
                "compares arms item by item",
                "set validation.tasks for the whole study",
            )
    for metric in metrics:
        lacking = next((arm for arm, number in probes.items() if not number), None)
        if metric.is_probe and (lacking is not None or len(set(probes.values())) > 1):
            what = "validation.probes=0" if lacking is not None else "validation.probes differs"
            raise ConfigError(
                f"design.metrics: {metric.name}: expected the same probes in all arms, but {what}",
                "set validation.probes for the whole study, such as 200",
            )


def check_probe_names(design: Comparison, config: Mapping[str, Any], known: Sequence[str]) -> None:
    """Check the names of probes against those that the text has.

    Args:
        design: declaration of the study.
        config: configuration of one of its arms.
        known: names of its probes.

    Raises:
        ConfigError: a metric names a probe that there is not.
    """
    for metric in further_metrics(design, config):
        if metric.is_probe and metric.task not in known:
            expected = ", ".join(known) or "no probe, because this text has none"
            raise ConfigError(
                f"design.metrics: {metric.name}: unknown probe {metric.task}, expected {expected}",
                suggestion(metric.task, known) or "data=toystories has probes",
            )


def _kind_in_file(entry: TaskEntry) -> str:
    """The kind of a task whose settings do not tell it."""
    from lmlab.tasks.task_file import TaskFile  # imports numpy

    return TaskFile(entry).read()[0]


def _resolve(name: str, kinds: Mapping[str, str | None], main: str) -> Metric:
    """Return the metric of a name.

    Args:
        name: as listed.
        kinds: kind of the items of each task; None where only its file tells.
        main: the main metric.
    """
    if name == main:
        return Metric(name, name)
    if name in kinds:
        scores = TASK_SCORES.get(kinds[name] or "pairs", _OF_ANY_KIND)
        return Metric(name, scores[0], name)
    group, _, rest = name.partition(".")
    if group == GROUP and rest:
        probe, _, score = rest.partition(".")
        if score and score not in PROBE_SCORES:
            raise _unknown(name, "score", score, PROBE_SCORES)
        return Metric(name, score or PROBE_SCORES[0], probe, is_probe=True)
    task, _, score = name.rpartition(".")
    if task in kinds:
        kind = kinds[task]
        scores = _OF_ANY_KIND if kind is None else TASK_SCORES[kind]
        if score not in scores:
            raise _unknown(name, "score", score, scores)
        return Metric(name, score, task)
    known = [main, *kinds, *(f"{one}.{score}" for one in kinds for score in ("accuracy", "margin"))]
    raise ConfigError(
        f"design.metrics: {name}: expected {main}, a task of validation.tasks "
        f"({', '.join(kinds) or 'there is none'}), or probes.<name>; with .<score> or without",
        suggestion(name, [*known, f"{GROUP}.plots"]) or "validation.tasks lists the tasks",
    )


def _unknown(name: str, what: str, word: str, known: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"design.metrics: {name}: unknown {what} {word}, expected one of {', '.join(known)}",
        suggestion(word, known) or f"choose one of these {what}s",
    )
