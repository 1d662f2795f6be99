"""The scores of runs by which arms are compared besides the loss. Without numpy, as run records."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.design.job import Job
from lmlab.design.metrics import Metric
from lmlab.run_folder import RunFolder
from lmlab.storage.io import hash_json
from lmlab.tasks.item_records import read_items


@dataclasses.dataclass(frozen=True)
class RunScores:
    """The scores of a run by one metric.

    Attributes:
        items: hash of the ids of the items, in order; empty for a score that is not their mean.
        values: of each item; the score itself where it is not a mean over items.
    """

    items: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The score of the run."""
        return math.fsum(self.values) / len(self.values)


# The scores of the runs of a study: by run, then by name of the metric.
Scores = Mapping[Job, Mapping[str, RunScores]]


def read_scores(
    run: RunFolder, metrics: Sequence[Metric], rows: Sequence[Mapping[str, Any]]
) -> dict[str, RunScores]:
    """Return the scores of a run at its last evaluation, by name of the metric.

    Args:
        run: the run folder.
        metrics: those besides the loss.
        rows: of its ``metrics.jsonl``, in order.

    Returns:
        A metric of which a value is missing or not finite is left out.
    """
    last = max((row["step"] for row in rows if row.get("kind") == "validation"), default=None)
    found = {}
    for metric in metrics:
        scores = _of_items(run, metric, last) if metric.is_of_items else _of_row(metric, rows, last)
        if scores is not None and all(map(_is_finite, scores.values)):
            found[metric.name] = scores
    return found


def _of_items(run: RunFolder, metric: Metric, step: int | None) -> RunScores | None:
    items = read_items(run, metric.items_name, step)
    values = [float(item[metric.score]) for item in items if _is_finite(item.get(metric.score))]
    if not values or len(values) < len(items):
        return None
    return RunScores(hash_json([str(item["id"]) for item in items])[:16], tuple(values))


def _of_row(
    metric: Metric, rows: Sequence[Mapping[str, Any]], step: int | None
) -> RunScores | None:
    for row in reversed(rows):
        is_its = row.get("kind") == metric.row_kind and row.get("name") == metric.task
        if is_its and row.get("step") == step and _is_finite(row.get(metric.score)):
            return RunScores("", (row[metric.score],))
    return None


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
