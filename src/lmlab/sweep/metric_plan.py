"""What a study can detect by tasks and probes, printed before it starts."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from lmlab.build.run_data import RunData
from lmlab.console.formatting import format_count
from lmlab.design.comparison import Comparison
from lmlab.design.metrics import Metric
from lmlab.run_folder import RunFolder
from lmlab.study.decision_rules import metric_rule
from lmlab.study.metric_matches import has_random_items
from lmlab.study.power import smallest_detectable
from lmlab.study.run_scores import read_scores

_MIN_SEEDS_FOR_SD = 3


@dataclasses.dataclass(frozen=True)
class MetricFacts:
    """What is known of a metric without a model.

    Attributes:
        num_items: number of items that its score is a mean of; None for another score.
        chance: share of right answers of a guess; None where that has no meaning.
        best: best possible share; None likewise.
    """

    num_items: int | None = None
    chance: float | None = None
    best: float | None = None


def metric_facts(metric: Metric, data: RunData) -> MetricFacts:
    """Return what is known of a metric, from the tasks and probes of a run."""
    if not metric.is_of_items:
        return MetricFacts()
    if metric.is_probe:
        found = (data.probes.facts() or {})[metric.task]
        chance, best = found["chance"], found["best"]["accuracy"]
        return _of_shares(metric, found["num_items"], chance, best)
    task = next(one for one in data.tasks if one.name == metric.task)
    number = getattr(task, "num_items", None)
    return _of_shares(metric, number, getattr(task, "chance", None), 1.0)


def _of_shares(
    metric: Metric, number: int | None, chance: float | None, best: float
) -> MetricFacts:
    return MetricFacts(number, chance, best) if metric.is_share else MetricFacts(number)


def describe_metric(
    design: Comparison, metric: Metric, facts: MetricFacts, baseline_runs: Iterable[RunFolder]
) -> list[str]:
    """Return sentences about what the study can detect by a further metric.

    Its noise is never that of the loss: it is measured in finished runs of the baseline, or
    ``design.expected_sds`` states it, or, for shares of right answers, it is that of independent
    answers of which half are right.

    Args:
        design: declaration of the study.
        metric: the metric.
        facts: what is known of it.
        baseline_runs: earlier runs of the baseline.
    """
    if not design.compared_arms or design.first_seeds < 2:
        return []
    values = _finished(metric, baseline_runs)
    sd, source = _noise(design, metric, facts, values)
    items = f", {facts.num_items:,} items" if facts.num_items else ""
    head = f"{metric.title}{items}:"
    if sd is None:
        return [
            f"{head} its noise is not known before {format_count(_MIN_SEEDS_FOR_SD, 'run')} of the "
            f"baseline have finished; design.expected_sds={{{metric.name}: 0.1}} states one."
        ]
    rule = metric_rule(design, metric)
    smallest = smallest_detectable(math.sqrt(2) * sd, rule, max(design.family, 1))
    if not math.isfinite(smallest):
        return [f"{head} the study cannot find any difference with so few seeds."]
    lines = [
        f"{head} varies by {sd:.4f} over seeds ({source}); the study detects a true difference of "
        f"{smallest:.4f} {metric.unit} with probability {rule.power:.0%}"
        + (
            ", or more where the choice of the items matters."
            if has_random_items(metric, design)
            else "."
        )
    ]
    mean = statistics.fmean(values) if values else None
    return [*lines, *_limits(facts, smallest, mean)]


def _finished(metric: Metric, runs: Iterable[RunFolder]) -> list[float]:
    found = []
    for run in runs:
        if run.status().get("status") == "done":
            scores = read_scores(run, [metric], run.rows())
            found += [one.mean for one in scores.values()]
    return found


def _noise(
    design: Comparison, metric: Metric, facts: MetricFacts, values: Sequence[float]
) -> tuple[float | None, str]:
    if len(values) >= _MIN_SEEDS_FOR_SD:
        return statistics.stdev(values), f"in {len(values)} runs of the baseline"
    if metric.name in design.expected_sds:
        return design.expected_sds[metric.name], "design.expected_sds"
    if metric.is_share and facts.num_items:
        return math.sqrt(0.25 / facts.num_items), "assumed: independent answers, half of them right"
    return None, ""


def _limits(facts: MetricFacts, smallest: float, mean: float | None) -> list[str]:
    """State where a share of right answers cannot separate arms, and by which rule."""
    if facts.chance is None or facts.best is None:
        return []
    chance, best = facts.chance, facts.best
    if mean is None:
        room = best - chance
        between = f"between a guess ({chance:.3f}) and the best possible score ({best:.3f})"
    else:
        room = max(best - mean, mean - chance)
        between = (
            f"between the baseline ({mean:.3f}) and either a guess ({chance:.3f}) or the best "
            f"possible score ({best:.3f})"
        )
    if smallest > room:
        return [
            "This task cannot separate arms at this size: smallest detectable difference "
            f"{smallest:.3f}, more than lies {between}; more items, more seeds or a continuous "
            "score, such as the margin, may."
        ]
    if mean is not None and mean - chance < smallest:
        return [
            f"The baseline ({mean:.3f}) is within the smallest detectable difference of a guess "
            f"({chance:.3f}): an arm that learns less of this task will not be told from it."
        ]
    return []
