"""What a report shows of verdicts by further metrics: headline, tables, and their noise.

:mod:`lmlab.design.metrics` names the metrics; verdicts by them are those of
:mod:`lmlab.study.verdicts`, with their own noise and margin.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.design.comparison import Comparison
from lmlab.design.metrics import Metric
from lmlab.study.decision_rules import metric_rule, seeds_per_arm
from lmlab.study.item_power import smallest_with_items
from lmlab.study.matched_runs import known_losses
from lmlab.study.metric_matches import MetricRuns, has_random_items
from lmlab.study.power import smallest_detectable
from lmlab.study.run_records import Study
from lmlab.study.run_scores import RunScores
from lmlab.study.statistics import INCONCLUSIVE
from lmlab.study.verdict_groups import grouped_arms, replicate_result
from lmlab.study.verdict_section import baseline_values, verdict_row
from lmlab.study.verdicts import Verdict, arm_phrase, baseline_outcomes, seeds_phrase

_READINGS = {
    True: "The items are read as a sample: a verdict is on what they are examples of. Intervals "
    "account for the choice of the seeds and of the items, each with its own degrees of freedom, "
    "and assume that the noise of both is normal.",
    False: "The items are read as the task itself: a verdict is on these items, and intervals "
    "account for the choice of the seeds alone.",
}


def metric_headline(study: Study, verdicts: Sequence[Verdict]) -> list[str]:
    """Return a sentence for each further metric: its arms grouped by verdict.

    Args:
        study: the study.
        verdicts: by further metrics.
    """
    lines = []
    for metric in study.metrics:
        own = [one for one in verdicts if one.metric == metric]
        groups = grouped_arms(study, [one for one in own if not one.is_replicate])
        groups += [f"Replicate: {replicate_result(one)}." for one in own if one.is_replicate]
        told = "; ".join(text[0].lower() + text[1:].rstrip(".") for text in groups)
        if told:
            lines.append(f"{metric.title}: {told}.")
    return lines


def build_metrics(study: Study, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return the verdicts by each further metric.

    Args:
        study: the study.
        verdicts: by further metrics.

    Returns:
        For each metric its ``name``, ``score``, ``title``, ``unit`` and ``sense`` (``higher is
        better``), ``items`` per run, the ``rows`` and the ``baseline`` as of the table of the loss,
        and ``notes``.
    """
    design = None if study.manifest is None else study.manifest.comparison
    if design is None:
        return []
    found = []
    for metric in study.metrics:
        own = [one for one in verdicts if one.metric == metric]
        runs = _baseline_runs(study, metric)
        found.append(
            {
                "name": metric.name,
                "score": metric.score,
                "title": metric.title,
                "unit": metric.unit,
                "sense": "higher is better" if metric.is_higher_better else "lower is better",
                "items": _num_items(runs) if metric.is_of_items else None,
                "margin": metric_rule(design, metric).margin,
                "rows": [verdict_row(study, one) for one in own],
                "baseline": baseline_values(study, runs.outcomes),
                "notes": _notes(design, metric, runs, own),
            }
        )
    return found


def _baseline_runs(study: Study, metric: Metric) -> MetricRuns:
    manifest = study.manifest
    assert manifest is not None and manifest.comparison is not None
    arm = str(manifest.comparison.baseline)
    rate = manifest.judged_lr(arm, study.outcomes)
    scores = {
        job.seed: one[metric.name]
        for job, one in study.scores.items()
        if job.arm == arm and job.lr == rate and metric.name in one
    }
    items = next((one.items for one in scores.values()), "")
    return MetricRuns.of(baseline_outcomes(manifest, study.outcomes), scores, items)


def _num_items(runs: MetricRuns) -> int | None:
    first: RunScores | None = next(iter(runs.scores.values()), None)
    return None if first is None else len(first.values)


def _notes(
    design: Comparison, metric: Metric, runs: MetricRuns, verdicts: Sequence[Verdict]
) -> list[str]:
    """State how a metric is read, its own noise, and what the study detects by it."""
    sense = "Higher" if metric.is_higher_better else "Lower"
    number = _num_items(runs) if metric.is_of_items else None
    over = f", a mean over {number:,} items" if number else ""
    margin = metric_rule(design, metric).margin
    notes = [
        f"{sense} is better; differences are in {metric.unit}{over}. "
        + (
            f'"No difference" is within {margin:g}.'
            if margin
            else f"design.margins has none for {metric.name}, so that no arm gets the verdict "
            '"no difference".'
        )
    ]
    if metric.is_of_items:
        notes.append(_READINGS[has_random_items(metric, design)])
    lacking = sum(
        outcome.loss is None and not outcome.has_diverged for outcome in runs.outcomes.values()
    )
    if lacking:
        arm = arm_phrase(str(design.baseline))
        notes.append(
            f"{format_count(lacking, 'run')} of {arm} without these scores, or with those of other "
            "items."
        )
    for one in verdicts:
        if one.unpaired and one.pairs:
            seeds = seeds_phrase(one.unpaired)
            notes.append(
                f"{one.arm} is compared on {len(one.pairs)} pairs; left out is {seeds}, for which "
                "one of both has no score on the same items."
            )
    if margin and any(one.label == INCONCLUSIVE for one in verdicts):
        notes.append(
            'Of two intervals, the first decides on better or worse, the second on "no difference".'
        )
    return [*notes, *_noise(design, metric, runs, verdicts)]


def _noise(
    design: Comparison, metric: Metric, runs: MetricRuns, verdicts: Sequence[Verdict]
) -> list[str]:
    """State the noise of the metric itself, and the difference that the study detects with it."""
    known = list(known_losses(runs.outcomes).values())
    if len(known) < 2 or design.first_seeds < 2:
        return []
    sd, rule = statistics.stdev(known), metric_rule(design, metric)
    arm = arm_phrase(str(design.baseline))
    text = (
        f"Noise floor of this metric: its values in {len(known)} runs of {arm} that differ only in "
        f"their seed have a standard deviation of {sd:.4f}."
    )
    errors = [
        one.comparison.items_error
        for one in verdicts
        if one.comparison is not None and not one.is_replicate
    ]
    detectable = smallest_detectable(math.sqrt(2) * sd, rule, design.family)
    if has_random_items(metric, design):
        items_error = max(errors, default=0.0)
        detectable = smallest_with_items(math.sqrt(2) * sd, items_error, rule, design.family)
        text += (
            f" The choice of the items adds a standard error of up to {items_error:.4f} to the "
            "difference of an arm, which more seeds do not reduce."
        )
    if math.isfinite(detectable):
        text += (
            f" With {seeds_per_arm(design)}, the study detects a true "
            f"difference of {detectable:.4f} with {100 * rule.power:g}% power, at the level of the "
            f"clearest of {design.family} verdicts."
        )
    return [text]
