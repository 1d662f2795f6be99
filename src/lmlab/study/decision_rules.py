"""How a study decides, by each of the metrics that it judges arms by."""

from __future__ import annotations

import dataclasses

from lmlab.console.formatting import format_count
from lmlab.design.comparison import Comparison
from lmlab.design.metrics import Metric
from lmlab.study.metric_matches import has_random_items
from lmlab.study.sequential_test import Rule


def decision_rule(design: Comparison) -> Rule:
    """Return how the study decides."""
    rule = Rule(
        seeds=design.num_seeds,
        extra_seeds=design.extra_seeds,
        alpha=design.alpha,
        power=design.power,
        margin=design.margin,
        earlier_looks=tuple(design.earlier_looks),
        test=design.test,
    )
    if not design.is_sequential:
        return rule
    return dataclasses.replace(
        rule, seeds=design.most_seeds, extra_seeds=0, min_seeds=design.first_seeds,
        futility=design.futility,
    )  # fmt: skip


def metric_rule(design: Comparison, metric: Metric) -> Rule:
    """Return how the study decides by a metric; its margin is never that of the loss."""
    rule = decision_rule(design)
    if not metric.task:
        return rule
    return dataclasses.replace(
        rule,
        margin=design.margins.get(metric.name, 0.0),
        test="t" if has_random_items(metric, design) else rule.test,
        is_higher_better=metric.is_higher_better,
    )


def seeds_per_arm(design: Comparison) -> str:
    """Return ``5 seeds per arm``, or ``3 to 13 seeds per arm`` of a sequential study."""
    if design.is_sequential:
        return f"{design.first_seeds} to {format_count(design.most_seeds, 'seed')} per arm"
    return f"{format_count(design.num_seeds, 'seed')} per arm"


def looks_phrase(design: Comparison) -> str:
    """Return ``testing twice`` for a study that may test its arms twice; empty for one test."""
    number = len(decision_rule(design).looks)
    if number < 2:
        return ""
    return "testing twice" if number == 2 else f"testing {number} times"
