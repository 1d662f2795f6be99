"""The sentences of a report: headline, noise and decision rule, limitations."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence

from lmlab.design.manifest import Manifest, tuning_outcomes
from lmlab.study.power import smallest_detectable
from lmlab.study.run_records import Study
from lmlab.study.statistics import INCONCLUSIVE
from lmlab.study.verdicts import OWN_RATE, Verdict, baseline_losses, decision_rule

_HEADLINES = {
    "better": "Better than {baseline} at their own best learning rates: {arms}.",
    "worse": "Worse than {baseline}: {arms}.",
    "no difference": "No meaningful difference from {baseline}: {arms}.",
    "diverged": "Diverged on some seeds: {arms}.",
    INCONCLUSIVE: "Inconclusive, more seeds needed: {arms}.",
    "missing": "Not finished: {arms}.",
}


def headline(study: Study, verdicts: Sequence[Verdict]) -> list[str]:
    """Summarize a study: its arms grouped by verdict, or the best learning rate of each arm."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return [f"{len(study.records)} runs; no verdict, because no comparison was declared."]
    own = [verdict for verdict in verdicts if verdict.at == OWN_RATE and not verdict.is_replicate]
    num_failed = Counter(record.job.arm for record in study.records if record.state == "failed")
    baseline = manifest.comparison.baseline
    lines = []
    for label, sentence in _HEADLINES.items():
        arms = [_with_difference(verdict, num_failed) for verdict in own if verdict.label == label]
        if arms:
            lines.append(sentence.format(baseline=baseline, arms=", ".join(arms)))
    for verdict in verdicts:
        if verdict.is_replicate:
            lines.append(f"Control, the baseline on other seeds: {verdict.label}.")
    if baseline is None:
        for arm in manifest.comparison.arms:
            lines.append(_best_rate(manifest, study, arm))
    return lines


def _with_difference(verdict: Verdict, num_failed: Counter[str]) -> str:
    comparison, failed = verdict.comparison, num_failed[verdict.arm]
    if verdict.label == "missing" and failed:
        return f"{verdict.arm} ({failed} {'run' if failed == 1 else 'runs'} failed)"
    if comparison is None or not math.isfinite(comparison.difference):
        return verdict.arm
    return f"{verdict.arm} ({comparison.difference:+.3f})"


def _best_rate(manifest: Manifest, study: Study, arm: str) -> str:
    outcomes = study.outcomes
    rate = manifest.judged_lr(arm, outcomes)
    if rate is None:
        return f"{arm}: the learning rate search is not finished."
    stable, diverged = manifest.lr_search(arm).divergence_edge(tuning_outcomes(arm, outcomes))
    sentence = f"{arm}: the best peak learning rate is {rate:g}"
    if diverged is not None and stable is not None:
        edge = math.sqrt(stable * diverged)
        return (
            f"{sentence}, a factor of {edge / rate:.1f} below the edge of divergence "
            f"near {edge:.3g}."
        )
    return f"{sentence}; no rate up to {stable:g} diverged."


def noise(study: Study) -> list[str]:
    """State the noise of the seeds, the detectable difference, and the decision rule."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return []
    design, rule = manifest.comparison, decision_rule(manifest.comparison)
    losses = baseline_losses(manifest, study.outcomes)
    lines = []
    if len(losses) > 1:
        sd = statistics.stdev(losses)
        lines.append(
            f"Noise floor: the final losses of {len(losses)} runs of "
            f"{design.baseline or next(iter(design.arms))} that differ only in their seed have a "
            f"standard deviation of {sd:.4f} {manifest.unit}."
        )
        family = len([arm for arm in design.compared_arms if arm != design.replicate])
        if family and design.num_seeds > 1:
            smallest = smallest_detectable(math.sqrt(2) * sd, rule, family)
            second = (
                f" (and {design.extra_seeds} more at a second look)" if rule.extra_seeds else ""
            )
            lines.append(
                f"With that noise, {design.num_seeds} seeds{second} detect a true difference of "
                f"{smallest:.4f} with a probability of {design.power:.0%}."
            )
    if design.compared_arms:
        lines.append(
            f"Differences are paired by seed and tested by a two-sided t test. Over all arms of "
            f"the study, at their own rates, the probability of any false better or worse is at "
            f"most {design.alpha:.0%} (Holm). Comparisons at the baseline's rate are corrected "
            f"separately. No difference means that the interval lies within {design.margin:g} "
            f"{manifest.unit} of zero."
        )
    if design.lr == "search":
        number = design.num_tuning_seeds
        seeds = "seed that is" if number == 1 else "seeds that are"
        lines.append(
            f"Learning rates were chosen on {number} {seeds} not used for the verdicts. The edge "
            "of divergence is the lowest rate at which a run diverged or lost half of the best "
            "run's improvement."
        )
    return lines


def limits(study: Study) -> list[str]:
    """State what the study does not show: its declared limitations, and those of its scale."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return []
    design, first = manifest.comparison, manifest.arms[0]
    lines = list(design.limits)
    costs = next(iter(study.arm_costs.values()), None)
    if costs:
        lines.append(
            f"The models have {costs['parameters']:,} parameters and were trained on "
            f"{costs['tokens']:,} tokens; larger models or longer training may rank the arms "
            "differently."
        )
    if first["training"]["steps"] and manifest.comparison.compared_arms:
        lines.append(
            "Only the learning rate is tuned for each arm; weight decay, warm-up and schedule are "
            "not."
            if design.lr == "search"
            else "Nothing is tuned for each arm: neither the learning rate nor weight decay, "
            "warm-up and schedule."
        )
    return lines
