"""What a report says in sentences: the headline, the noise and the rules, the limits."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence

from lmlab.design.manifest import Manifest, tuning_outcomes
from lmlab.study.run_records import Study
from lmlab.study.statistics import smallest_detectable
from lmlab.study.verdicts import OWN_RATE, Verdict, baseline_losses, rule_of


def headline(study: Study, verdicts: Sequence[Verdict]) -> list[str]:
    """The answer of a study: its arms by verdict, or its best learning rates."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return [f"{len(study.records)} runs; no comparison was declared, so there is no verdict."]
    own = [verdict for verdict in verdicts if verdict.at == OWN_RATE and not verdict.is_check]
    told, failed = [], Counter(one.job.arm for one in study.records if one.state == "failed")
    for word, said in (
        ("better", "Better than {baseline} at their own best learning rates: {arms}."),
        ("worse", "Worse than {baseline}: {arms}."),
        ("no difference", "No difference that matters from {baseline}: {arms}."),
        ("diverged", "Diverged on some seeds: {arms}."),
        ("too few seeds", "Too few seeds for a verdict: {arms}."),
        ("missing", "Not finished: {arms}."),
    ):
        arms = [_with_difference(verdict, failed) for verdict in own if verdict.word == word]
        if arms:
            baseline = manifest.comparison.baseline
            told.append(said.format(baseline=baseline, arms=", ".join(arms)))
    for check in (verdict for verdict in verdicts if verdict.is_check):
        told.append(f"Check of the study itself, the baseline on other seeds: {check.word}.")
    if manifest.comparison.baseline is None:
        for arm in manifest.comparison.arms:
            told.append(_rate_told(manifest, study, arm))
    return told


def _with_difference(verdict: Verdict, failed: Counter[str]) -> str:
    found, number = verdict.comparison, failed[verdict.arm]
    if verdict.word == "missing" and number:
        return f"{verdict.arm} ({number} {'run' if number == 1 else 'runs'} failed)"
    if found is None or not math.isfinite(found.difference):
        return verdict.arm
    return f"{verdict.arm} ({found.difference:+.3f})"


def _rate_told(manifest: Manifest, study: Study, arm: str) -> str:
    outcomes = study.outcomes
    rate = manifest.judged_lr(arm, outcomes)
    if rate is None:
        return f"{arm}: the search for the best learning rate is not finished."
    sound, broken = manifest.lr_search(arm).divergence_edge(tuning_outcomes(arm, outcomes))
    told = f"{arm}: the best peak learning rate is {rate:g}"
    if broken is not None and sound is not None:
        edge = math.sqrt(sound * broken)
        return (
            f"{told}, a factor of {edge / rate:.1f} below the edge of divergence near {edge:.3g}."
        )
    return f"{told}; no rate up to {sound:g} diverged."


def noise(study: Study) -> list[str]:
    """How much seeds alone change, what the study could find, and how it decides."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return []
    design, rule = manifest.comparison, rule_of(manifest.comparison)
    losses = baseline_losses(manifest, study.outcomes)
    told = []
    if len(losses) > 1:
        sd = statistics.stdev(losses)
        told.append(
            f"Noise floor: final losses of {len(losses)} runs of "
            f"{design.baseline or next(iter(design.arms))} that differ in their seed alone have a "
            f"standard deviation of {sd:.4f} {manifest.unit}."
        )
        family = len([arm for arm in design.compared_arms if arm != design.replicate])
        if family and design.num_seeds > 1:
            smallest = smallest_detectable(math.sqrt(2) * sd, rule, family)
            told.append(
                f"With that noise, {design.num_seeds} seeds"
                + (f" (and {design.extra_seeds} more at a second look)" if rule.extra_seeds else "")
                + f" find a true difference of {smallest:.4f} with a chance of {design.power:.0%}."
            )
    if design.compared_arms:
        told.append(
            f"Differences are paired by seed and tested by a two-sided t test; over the arms of "
            f"the study, at their own rates, the chance of any false better or worse is at most "
            f"{design.alpha:.0%} (Holm). Comparisons at the baseline's rate are corrected among "
            f"themselves. No difference is said where the interval lies within {design.margin:g} "
            f"{manifest.unit} of zero."
        )
    if design.lr == "search":
        told.append(
            f"Learning rates were chosen on {design.num_tuning_seeds} other "
            f"{'seed' if design.num_tuning_seeds == 1 else 'seeds'} than those that judge. "
            "The divergence edge is the least rate whose run diverged or lost half of what the "
            "best one gained."
        )
    return told


def limits(study: Study) -> list[str]:
    """What the study does not show: what it declares, and what its size leaves open."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return []
    design, first = manifest.comparison, manifest.arms[0]
    shown = list(design.limits)
    facts = next(iter(study.facts.values()), None)
    if facts:
        shown.append(
            f"Models of {facts['parameters']:,} parameters were trained on {facts['tokens']:,} "
            "tokens; larger ones, or longer training, may order the arms differently."
        )
    if first["training"]["steps"] and manifest.comparison.compared_arms:
        shown.append(
            "Each arm has its own learning rate, but weight decay, warm-up and schedule are the "
            "baseline's."
        )
    return shown
