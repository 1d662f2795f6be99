"""The sentences of a report: headline, noise and decision rule, limitations."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from lmlab.console.formatting import format_count
from lmlab.design.comparison import Comparison
from lmlab.design.confirmation import NEVER
from lmlab.design.manifest import Manifest
from lmlab.study.best_rate import describe_best_rate
from lmlab.study.decision_rules import decision_rule, looks_phrase, seeds_per_arm
from lmlab.study.matched_runs import lost_by_cause
from lmlab.study.power import smallest_detectable
from lmlab.study.pruned_runs import describe_pruning
from lmlab.study.rate_basin import confirmation_rule
from lmlab.study.rate_edges import runs_by_rate, stable_edge
from lmlab.study.rate_lines import rate_lines
from lmlab.study.run_records import Study
from lmlab.study.sequential_test import SIGN_FLIPS
from lmlab.study.statistics import INCONCLUSIVE, level_name, sd_interval
from lmlab.study.study_facts import swept_settings
from lmlab.study.sweep_section import build_sweep
from lmlab.study.verdict_groups import grouped_arms, replicate_result
from lmlab.study.verdicts import (
    OWN_RATE,
    Verdict,
    arm_phrase,
    baseline_losses,
    baseline_outcomes,
    final_losses,
    judge,
    lost_phrase,
)
from lmlab.study.wave_section import describe_ends, looks_rule

_TESTS = {
    "t": "a two-sided paired t test, which assumes that the noise of the seeds is normal",
    "sign_flips": "a two-sided sign-flip test, which makes no assumption on the distribution of "
    "the noise",
}
_RATES = {"search": "their own best learning rates", "fixed": "their configured learning rates"}
_REPLICATE = "Replicate (the baseline retrained with different seeds)"


def headline(study: Study, verdicts: Sequence[Verdict]) -> list[str]:
    """Summarize a study: its arms grouped by verdict, or the best learning rate of each arm."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return [_sweep_summary(study), *_best_of_sweep(study)]
    own = [verdict for verdict in verdicts if verdict.at == OWN_RATE and not verdict.is_replicate]
    baseline = manifest.comparison.baseline
    reference = arm_phrase(str(baseline))
    lines = grouped_arms(study, own)
    for verdict in verdicts:
        if verdict.is_replicate:
            lines.append(f"{_REPLICATE}: {replicate_result(verdict)}.")
    if baseline is not None:
        lines += _baseline_state(manifest, study, reference)
    if manifest.comparison.compared_arms:
        return lines + rate_lines(study, verdicts)
    describe = describe_best_rate if manifest.comparison.lr == "search" else _fixed_rate
    return [*lines, *(describe(manifest, study, arm) for arm in manifest.comparison.arms)]


def _sweep_summary(study: Study) -> str:
    """State how many runs and arms there are, which settings differ, and that nothing is judged."""
    number, arms = len(study.records), len({record.job.arm for record in study.records})
    counted = format_count(number, "run")
    if arms > 1:
        counted += f" of {arms} arms"
    swept = ", ".join(swept_settings(study))
    differ = f", which differ in {swept}" if swept else ""
    return f"{counted}{differ}; no verdicts, because no comparison was declared."


def _best_of_sweep(study: Study) -> list[str]:
    """State the settings of a sweep with the lowest mean loss; nothing where none can be named."""
    sweep = build_sweep(study)
    known = [row for row in sweep["rows"] if row["mean"] is not None]
    if len(known) < 2:
        return []
    best = known[0]
    settings = zip(sweep["keys"], best["values"], strict=True)
    at = ", ".join(f"{key}={value}" for key, value in settings)
    sd = "" if best["sd"] is None else f"sd {best['sd']:.4f}, "
    seeds = format_count(best["seeds"], "seed")
    if study.metric == "bits_per_byte":
        return [
            f"Fewest bits per byte at the end, on average: {best['mean']:.4f} ({sd}{seeds}) at "
            f"{at}. Losses per token of different tokenizers cannot be compared."
        ]
    return [f"Lowest mean final loss: {best['mean']:.4f} ({sd}{seeds}) at {at}."]


def _baseline_state(manifest: Manifest, study: Study, reference: str) -> list[str]:
    """State which seeds of the baseline have no loss, since no arm is compared on them."""
    design = manifest.comparison
    assert design is not None and design.baseline is not None
    name = reference.replace("the baseline", "The baseline")
    if manifest.is_untrainable(design.baseline, study.outcomes):
        return [f"{name} diverged at every learning rate tried, so nothing is compared with it."]
    found = baseline_outcomes(manifest, study.outcomes)
    lost = lost_by_cause(found)
    if not lost:
        return []
    return [f"{name} {lost_phrase(lost)} of {len(found)}; no arm is compared on these seeds."]


def _fixed_rate(manifest: Manifest, study: Study, arm: str) -> str:
    """State the mean loss of an arm that no other is compared with, at its configured rate."""
    rate = manifest.judged_lr(arm, study.outcomes)
    at = "" if rate is None else f" at its configured learning rate {rate:g}"
    losses = final_losses(manifest, study.outcomes, arm)
    if not losses:
        return f"{arm}: no run{at} has a final loss."
    seeds = format_count(len(losses), "seed")
    spread = f" (sd {statistics.stdev(losses):.4f})" if len(losses) > 1 else ""
    return f"{arm}: mean final loss {statistics.fmean(losses):.4f}{spread} over {seeds}{at}."


def noise(study: Study) -> list[str]:
    """State the noise of the seeds, the detectable difference, and the decision rule."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return []
    design = manifest.comparison
    lines = _noise_floor(manifest, baseline_losses(manifest, study.outcomes))
    if design.compared_arms:
        lines += _decision_rule(design, manifest.unit)
        lines += describe_ends(manifest, study.outcomes)
        lines += _pairing(manifest, study)
    if design.lr == "search":
        lines += _search_rule(manifest, study)
    return lines


def _pairing(manifest: Manifest, study: Study) -> list[str]:
    """State which seeds are left out of the comparisons."""
    lines = []
    for verdict in judge(manifest, study.outcomes):
        if verdict.unpaired and verdict.pairs:
            seeds = ", ".join(map(str, verdict.unpaired))
            lines.append(
                f"{verdict.arm} is compared on {len(verdict.pairs)} pairs; left out are seeds for "
                f"which only one of both arms has a final loss: {seeds}."
            )
        if verdict.agreement and verdict.label != INCONCLUSIVE:
            lines.append(f"{verdict.arm}: {verdict.agreement}.")
    return lines


def _search_rule(manifest: Manifest, study: Study) -> list[str]:
    """State how learning rates and the edge of stable training were found, on how many seeds."""
    design = manifest.comparison
    assert design is not None
    number = design.num_tuning_seeds
    seeds = "1 seed" if number == 1 else f"up to {number} seeds"
    lines = [
        f"Learning rates were tuned on {seeds} that the final runs do not use. The best one is the "
        "minimum of a parabola in the logarithm of the rate, through the mean losses of the best "
        "searched rate and its two neighbours.",
        "A learning rate counts as unstable if any run with that rate, whatever its purpose, "
        "diverged or failed to learn. A run fails to learn if it lowers the loss, from its own "
        "loss before training, by less than half as much as the best searched run of its arm did, "
        "at a rate with which, or below which, a run of the arm does learn. An arm whose rates "
        "were tried on more seeds is more likely to show an unstable one.",
    ]
    if design.confirm_rate == NEVER:
        lines[0] += " No further runs confirm it."
    else:
        lines.append(confirmation_rule(study))
    lines += describe_pruning(study)
    counts = []
    for arm in design.arms:
        tried = runs_by_rate(study, arm)
        edge, numbers = stable_edge(tried), {row.rate: row.number for row in tried}
        ends = [str(numbers[rate]) for rate in edge if rate is not None]
        if len(ends) == len(edge):
            counts.append(f"{arm} {' and '.join(ends)}")
    if counts:
        lines.append(
            "An edge rests on the few seeds that tried the rates beside it, often a single one "
            f"(at the highest stable and at the lowest unstable rate): {', '.join(counts)}."
        )
    return lines


def _noise_floor(manifest: Manifest, losses: Sequence[float]) -> list[str]:
    """State the spread over seeds, and the difference that the study detects with it."""
    design = manifest.comparison
    if design is None or len(losses) < 2:
        return []
    rule, sd = decision_rule(design), statistics.stdev(losses)
    arm = arm_phrase(design.baseline or next(iter(design.arms)))
    low, high = sd_interval(sd, len(losses), 0.05)
    lines = [
        f"Noise floor: the final losses of {len(losses)} runs of {arm} that differ only in their "
        f"seed have a standard deviation of {sd:.4f} {manifest.unit}. This is an estimate from "
        f"{len(losses)} runs: the 95% confidence interval is {low:.4f} to {high:.4f} (chi-squared, "
        "for normally distributed losses)."
    ]
    family = design.family
    if family and design.first_seeds > 1:
        smallest = smallest_detectable(math.sqrt(2) * sd, rule, family)
        extra = (
            f", plus {design.extra_seeds} if an arm is still inconclusive,"
            if rule.extra_seeds
            else ""
        )
        lines.append(
            f"With {seeds_per_arm(design)}{extra or ','} the study "
            f"detects a true "
            f"difference of {smallest:.4f} {manifest.unit} with {_percent(design.power)} power, if "
            "the noise of the arm is that of the baseline, at the level of the clearest arm."
            + (
                f" If the whole interval lies within \u00b1{design.margin:g}, the verdict is "
                '"no difference".'
                if smallest < design.margin
                else ""
            )
        )
    return lines


def _decision_rule(design: Comparison, unit: str) -> list[str]:
    """State how the study decides on a verdict."""
    if design.first_seeds == 1:
        return ["One seed per arm supports no verdict: its difference may be noise."]
    family, tests = design.family, family_phrase(design)
    judged = "arms" if len(design.metrics) < 2 else "arms and metrics"
    lines = []
    if family:
        lines.append(
            f"Differences are paired by seed, and tested with {_TESTS[design.test]}. Over all "
            f"{judged} of the study, at {_RATES[design.lr]}, the probability of one or more false "
            f'"better" or "worse" verdicts is at most {_percent(design.alpha)}'
            + (" (Holm's method)." if family > 1 else ".")
        )
        if design.at_baseline_lr and design.lr == "search":
            lines[0] += _descriptive_rule(design)
    lines.append(
        f'"No difference" means that the {_percent(1 - design.alpha)} confidence interval (CI) '
        f"lies within {design.margin:g} {unit} of zero, even where it excludes zero. It is "
        "decided for each arm by itself, at this level, without correction for several arms: a "
        f"false one has a probability of at most {_percent(design.alpha)} per arm."
    )
    if family > 1:
        lines.append(
            f"Every other interval of the {tests} at {_RATES[design.lr]} has the level of "
            "its step in Holm's method, so that it excludes zero exactly where the verdict is "
            "better or worse. That of the clearest arm has the confidence "
            f"{level_name(1 - design.alpha / family)}; from the first arm that is "
            "neither better nor worse on, all have that of the step at which the method stops. "
            "Holm's method protects the verdicts: these intervals do not hold jointly at "
            f"{level_name(1 - design.alpha)}."
        )
    if design.is_sequential:
        lines.append(looks_rule(design))
    elif design.extra_seeds:
        lines.append(
            f"Arms that are inconclusive after {format_count(design.num_seeds, 'seed')} are "
            f"tested again after "
            f"{design.num_seeds + design.extra_seeds}. P-values and intervals both account for "
            f"{looks_phrase(design)}{_shared_level(design)}."
        )
    if design.earlier_looks:
        looks = ", ".join(map(str, design.earlier_looks))
        lines.append(
            f"This study was judged before with fewer seeds ({looks}). P-values and intervals "
            "count that as a further test of the same runs."
        )
    if design.replicate is not None:
        lines.append(
            "The replicate shares no seeds with the baseline, so its runs form no pairs: the "
            "difference of the mean losses is tested with Welch's two-sided t test. The study does "
            "not ask about the replicate, so its p-value is not adjusted for the other arms."
        )
    return lines


def family_phrase(design: Comparison) -> str:
    """Return what shares the level of the study: ``3 arms``, ``3 arms by 2 metrics``."""
    arms = format_count(design.num_tested, "arm")
    return arms if len(design.metrics) < 2 else f"{arms} by {len(design.metrics)} metrics"


def _descriptive_rule(design: Comparison) -> str:
    """State what the comparisons at the baseline's learning rate do not claim."""
    widened = f"widened for {looks_phrase(design)}" if looks_phrase(design) else ""
    intervals = widened
    if design.family > 1:
        intervals = "not corrected for several arms" + (f", but {widened}" if widened else "")
    return " Comparisons at the baseline's learning rate are descriptive: they get no verdict" + (
        f", and their intervals are {intervals}." if intervals else "."
    )


def _shared_level(design: Comparison) -> str:
    """Name the method that shares a level between the tests, and the level of each."""
    rule = decision_rule(design)
    if rule.test == SIGN_FLIPS:
        return ", which share each level equally (Bonferroni)"
    levels = dict.fromkeys((design.alpha, design.alpha / max(design.family, 1)))
    each = [f"{100 * rule.nominal_level(one):.3g}% for {100 * one:.3g}%" for one in levels]
    return (
        ": the tests use the same nominal level, at which together they have the stated one "
        f"(Pocock's method, with the t distribution): {', '.join(each)}"
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g}%"
