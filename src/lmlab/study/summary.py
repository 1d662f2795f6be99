"""The sentences of a report: headline, noise and decision rule, limitations."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Manifest, tuning_outcomes
from lmlab.study.power import smallest_detectable
from lmlab.study.run_records import Study
from lmlab.study.statistics import INCONCLUSIVE
from lmlab.study.verdicts import OWN_RATE, Verdict, arm_phrase, baseline_losses, decision_rule

_HEADLINES = {
    "better": "Better than {baseline}: {arms}.",
    "worse": "Worse than {baseline}: {arms}.",
    "no difference": "No meaningful difference from {baseline}: {arms}.",
    "diverged": "Diverged with at least one seed: {arms}.",
    INCONCLUSIVE: "Inconclusive (more seeds needed): {arms}.",
    "missing": "Not finished: {arms}.",
}
_RATES = {"search": "their own best learning rates", "fixed": "their configured learning rates"}
_REPLICATE = "Replicate (the baseline retrained with different seeds)"


def headline(study: Study, verdicts: Sequence[Verdict]) -> list[str]:
    """Summarize a study: its arms grouped by verdict, or the best learning rate of each arm."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        number = f"{len(study.records)} {'run' if len(study.records) == 1 else 'runs'}"
        return [f"{number}; no verdicts, because no comparison was declared."]
    own = [verdict for verdict in verdicts if verdict.at == OWN_RATE and not verdict.is_replicate]
    num_failed = Counter(record.job.arm for record in study.records if record.state == "failed")
    baseline = manifest.comparison.baseline
    reference = arm_phrase(str(baseline))
    lines = []
    for label, sentence in _HEADLINES.items():
        arms = [_with_difference(verdict, num_failed) for verdict in own if verdict.label == label]
        if arms:
            lines.append(sentence.format(baseline=reference, arms=", ".join(arms)))
    for verdict in verdicts:
        if verdict.is_replicate:
            lines.append(f"{_REPLICATE}: {_replicate_result(verdict)}.")
    if baseline is None:
        for arm in manifest.comparison.arms:
            lines.append(_best_rate(manifest, study, arm))
    return lines


def _replicate_result(verdict: Verdict) -> str:
    """State whether the result is plausible, given that the true difference is zero."""
    if verdict.label == "no difference":
        return "no difference, as expected"
    if verdict.label in ("better", "worse"):
        return f"{verdict.label}, although the true difference is zero; check the study"
    return "not finished" if verdict.label == "missing" else verdict.label


def _with_difference(verdict: Verdict, num_failed: Counter[str]) -> str:
    comparison, failed = verdict.comparison, num_failed[verdict.arm]
    if verdict.label == "missing" and failed:
        return f"{verdict.arm} ({failed} {'run' if failed == 1 else 'runs'} failed)"
    if comparison is None or not math.isfinite(comparison.difference):
        return verdict.arm
    difference = f"{comparison.difference:+.3f}"
    return f"{verdict.arm} ({difference if float(difference) else difference[1:]})"


def _best_rate(manifest: Manifest, study: Study, arm: str) -> str:
    outcomes = study.outcomes
    rate = manifest.judged_lr(arm, outcomes)
    if rate is None:
        return f"{arm}: the learning rate search has found no rate yet."
    stable, unstable = manifest.lr_search(arm).divergence_edge(tuning_outcomes(arm, outcomes))
    sentence = f"{arm}: the best peak learning rate is {rate:g}"
    if stable is None:  # a rate below the best one diverged
        return f"{sentence}."
    if unstable is not None:
        edge = math.sqrt(stable * unstable)
        return (
            f"{sentence}, a factor of {edge / rate:.1f} below the edge of divergence "
            f"near {edge:.3g}."
        )
    return f"{sentence}; all rates tried, up to {stable:g}, were stable."


def noise(study: Study) -> list[str]:
    """State the noise of the seeds, the detectable difference, and the decision rule."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return []
    design = manifest.comparison
    lines = _noise_floor(manifest, baseline_losses(manifest, study.outcomes))
    if design.compared_arms:
        lines += _decision_rule(design, manifest.unit)
    if design.lr == "search":
        number = design.num_tuning_seeds
        seeds = "1 seed" if number == 1 else f"up to {number} seeds"
        lines.append(
            f"Learning rates were tuned on {seeds} that the final runs do not use. A learning "
            "rate counts as unstable if a run with that rate diverged. A rate above the best one "
            "also counts as unstable if a run with that rate lowered the loss by less than half "
            "as much as the best run did. The edge of divergence is estimated as the geometric "
            "mean of the highest stable and the lowest unstable rate."
        )
    return lines


def _noise_floor(manifest: Manifest, losses: Sequence[float]) -> list[str]:
    """State the spread over seeds, and the difference that the study detects with it."""
    design = manifest.comparison
    if design is None or len(losses) < 2:
        return []
    rule, sd = decision_rule(design), statistics.stdev(losses)
    arm = arm_phrase(design.baseline or next(iter(design.arms)))
    lines = [
        f"Noise floor: the final losses of {len(losses)} runs of {arm} that differ only in their "
        f"seed have a standard deviation of {sd:.4f} {manifest.unit}."
    ]
    family = _family_size(design)
    if family and design.num_seeds > 1:
        smallest = smallest_detectable(math.sqrt(2) * sd, rule, family)
        extra = (
            f", plus {design.extra_seeds} if an arm is still inconclusive,"
            if rule.extra_seeds
            else ""
        )
        lines.append(
            f"With {design.num_seeds} seeds per arm{extra or ','} the study detects a true "
            f"difference of {smallest:.4f} {manifest.unit} with {_percent(design.power)} power."
        )
    return lines


def _decision_rule(design: Comparison, unit: str) -> list[str]:
    """State how the study decides on a verdict."""
    lines = [
        "Differences are paired by seed and tested with a two-sided paired t test. Over all arms "
        f"of the study, at {_RATES[design.lr]}, the probability of one or more false "
        f'"better" or "worse" verdicts is at most {_percent(design.alpha)} (Holm\'s method).'
    ]
    if design.at_baseline_lr and design.lr == "search":
        lines[0] += " Comparisons at the baseline's learning rate are corrected separately."
    lines.append(
        f'"No difference" means that the {_percent(1 - design.alpha)} confidence interval (CI) '
        f"lies within {design.margin:g} {unit} of zero."
    )
    if _family_size(design) > 1:
        lines[-1] += (
            " P-values are corrected for comparing several arms, but intervals are not. An "
            "interval can therefore exclude zero even when the verdict is inconclusive."
        )
    if design.extra_seeds:
        lines.append(
            f"Arms that are inconclusive after {design.num_seeds} seeds are tested again after "
            f"{design.num_seeds + design.extra_seeds}. P-values and intervals both account for "
            "testing twice."
        )
    if design.replicate is not None:
        lines.append(
            "The replicate is not one of the arms that the study asks about, so its p-value is not "
            "adjusted."
        )
    return lines


def _family_size(design: Comparison) -> int:
    """Return the number of arms whose p-values are corrected together."""
    return len([arm for arm in design.compared_arms if arm != design.replicate])


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g}%"


def limits(study: Study) -> list[str]:
    """State what the study does not show: its declared limitations, and those of its scale."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return []
    design, first = manifest.comparison, manifest.arms[0]
    lines = list(design.limits)
    if study.arm_costs:
        parameters, tokens = (
            _range(costs[key] for costs in study.arm_costs.values())
            for key in ("parameters", "tokens")
        )
        lines.append(
            f"The models have {parameters} parameters and were trained on {tokens} tokens; results "
            "may differ for larger models or longer training."
        )
    if first["training"]["steps"] and manifest.comparison.compared_arms:
        lines.append(
            "Only the learning rate is tuned for each arm; weight decay, warm-up and schedule are "
            "not tuned."
            if design.lr == "search"
            else "Learning rate, weight decay, warm-up and schedule are not tuned for each arm."
        )
    return lines


def _range(values: Iterable[int]) -> str:
    known = sorted(set(values))
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
