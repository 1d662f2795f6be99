"""Arms grouped by verdict, as headlines name them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from lmlab.console.formatting import format_count
from lmlab.design.search import FAILED_TO_LEARN
from lmlab.study.rate_cautions import rate_cautions
from lmlab.study.rate_lines import short_difference
from lmlab.study.run_records import Study
from lmlab.study.statistics import INCONCLUSIVE
from lmlab.study.verdicts import INCOMPARABLE, Verdict, arm_phrase

# Groups of the headline that are no labels of verdicts.
UNTRAINABLE, OUTLYING, UNMATCHED = "untrainable", "outlying", "unmatched"
NEEDS_ITEMS = "needs items"
_HEADLINES = {
    "better": "Better than {baseline}, in {unit}: {arms}.",
    "worse": "Worse than {baseline}, in {unit}: {arms}.",
    "no difference": "No meaningful difference from {baseline}: {arms}.",
    "diverged": "Diverged with at least one seed: {arms}.",
    FAILED_TO_LEARN: "Failed to learn with at least one seed: {arms}.",
    UNTRAINABLE: "Diverged at every learning rate tried: {arms}.",
    INCONCLUSIVE: "Inconclusive (more seeds needed): {arms}.",
    OUTLYING: "Inconclusive (most seeds agree, but a few are far off): {arms}.",
    NEEDS_ITEMS: "Inconclusive (more items needed): {arms}.",
    "missing": "Not finished: {arms}.",
    INCOMPARABLE: "Not comparable with {baseline}, because losses per token of different "
    "tokenizers have no common unit (design.metric=bits_per_byte compares them): {arms}.",
    UNMATCHED: "Not compared, because too few runs of {baseline} have a final loss: {arms}.",
}


def grouped_arms(study: Study, verdicts: Sequence[Verdict]) -> list[str]:
    """Return a sentence for each kind of verdict that an arm has.

    Args:
        study: a study with a comparison.
        verdicts: by one metric, at each arm's own rate, without that of the replicate.
    """
    assert study.manifest is not None and study.manifest.comparison is not None
    num_failed = Counter(record.job.arm for record in study.records if record.state == "failed")
    reference = arm_phrase(str(study.manifest.comparison.baseline))
    lines = []
    for kind, sentence in _HEADLINES.items():
        found = [verdict for verdict in verdicts if _kind(verdict) == kind]
        arms = ", ".join(_with_difference(verdict, num_failed, study) for verdict in found)
        if found:
            unit = unit_of(found[0], study)
            lines.append(sentence.format(baseline=reference, unit=unit, arms=arms))
    return lines


def unit_of(verdict: Verdict, study: Study) -> str:
    """Return the unit of the difference of a verdict."""
    assert study.manifest is not None
    return verdict.metric.unit if verdict.metric.task else study.manifest.unit


def _kind(verdict: Verdict) -> str:
    """Return the group of the headline to which an arm belongs."""
    if verdict.label == "diverged" and not verdict.trains:
        return UNTRAINABLE
    if verdict.label == INCONCLUSIVE and verdict.agreement:
        return OUTLYING
    if verdict.label == INCONCLUSIVE and verdict.comparison and verdict.comparison.needs_items:
        return NEEDS_ITEMS
    if verdict.label == "missing" and verdict.losses and None not in verdict.losses.values():
        return UNMATCHED
    return verdict.shown_label


def replicate_result(verdict: Verdict) -> str:
    """State whether the result is plausible, given that the true difference is zero."""
    if verdict.label == "no difference":
        return "no difference, as expected"
    if verdict.label in ("better", "worse"):
        return f"{verdict.label}, although the true difference is zero; check the study"
    if verdict.agreement:
        return f"inconclusive, {verdict.agreement}"
    if verdict.label == INCONCLUSIVE and verdict.metric.task and not verdict.margin:
        return "no difference found, as expected"
    kinds = {"missing": "not finished", UNMATCHED: "not compared"}
    return kinds.get(_kind(verdict), verdict.shown_label)


def _with_difference(verdict: Verdict, num_failed: Counter[str], study: Study) -> str:
    assert study.manifest is not None and study.manifest.comparison is not None
    comparison, failed = verdict.comparison, num_failed[verdict.arm]
    if verdict.label == "missing" and failed:
        return f"{verdict.arm} ({format_count(failed, 'run')} failed)"
    if comparison is None or not math.isfinite(comparison.difference):
        return verdict.arm
    is_decided = verdict.label in ("better", "worse")
    notes = []
    if not is_decided:
        what = "score" if verdict.metric.task else "loss"
        notes.append(f"{what} {short_difference(comparison.difference)} {unit_of(verdict, study)}")
    elif verdict.least_difference < verdict.margin:
        notes.append(f"possibly within the margin of {verdict.margin:g}")
    if study.manifest.comparison.lr == "search" and rate_cautions(study, verdict.arm):
        notes.append("at a learning rate that may not be its best")
    by = abs(comparison.difference)
    size = f" by {by:.3f}" if float(f"{by:.3f}") else f" by {by:.1e}"
    aside = f" ({', '.join(notes)})" if notes else ""
    return f"{verdict.arm}{size if is_decided else ''}{aside}"
