"""The tables of verdicts: a row for each compared arm, and the baseline's row beside them."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.design.fairness import is_incomparable
from lmlab.study.matched_runs import BySeed, known_losses, lost_by_cause
from lmlab.study.rate_cautions import rate_cautions
from lmlab.study.rate_edges import at_steps
from lmlab.study.run_records import Study
from lmlab.study.run_section import finite
from lmlab.study.seed_caution import seed_caution
from lmlab.study.statistics import INCONCLUSIVE, level_name
from lmlab.study.tokens_to_match import tokens_to_match
from lmlab.study.verdicts import (
    BASELINE_RATE,
    INCOMPARABLE,
    OWN_RATE,
    Verdict,
    baseline_outcomes,
    judge,
    seeds_phrase,
)


def judge_all(study: Study) -> list[Verdict]:
    """Return the verdicts at each arm's own rate, then those at the baseline's where asked for.

    Those at the own rate are by the main metric first, and then by each further one.
    """
    if study.manifest is None or study.manifest.comparison is None:
        return []
    verdicts = judge(study.manifest, study.outcomes, OWN_RATE, study.scores)
    if study.manifest.comparison.at_baseline_lr and study.manifest.comparison.lr == "search":
        verdicts += judge(study.manifest, study.outcomes, BASELINE_RATE)
    return [_withhold(study, verdict) for verdict in verdicts]


def _withhold(study: Study, verdict: Verdict) -> Verdict:
    """Return the verdict, without a difference where the losses of the arms have no common unit."""
    assert study.manifest is not None and study.manifest.comparison is not None
    design = study.manifest.comparison
    arm, baseline = (
        study.arm_costs.get(str(name), {}).get("tokenizer")
        for name in (verdict.arm, design.baseline)
    )
    per_token = "loss" if verdict.metric.is_of_tokens else design.metric
    if verdict.metric.task and not verdict.metric.is_of_tokens:
        return verdict
    if arm is None or baseline is None or not is_incomparable(arm, baseline, per_token):
        return verdict
    label = verdict.label if verdict.label in ("diverged", "missing") else INCOMPARABLE
    return dataclasses.replace(
        verdict, label=label, comparison=None, pairs=(), differences=(), unpaired=()
    )


def verdict_row(study: Study, verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain values."""
    comparison = verdict.comparison
    known = [loss for loss in verdict.losses.values() if loss is not None]
    return {
        "arm": verdict.arm,
        "at": verdict.at,
        "lr": verdict.lr,
        "baseline_lr": verdict.baseline_lr,
        "is_replicate": verdict.is_replicate,
        "verdict": verdict.label,
        "shown_verdict": verdict.shown_label,
        "detail": verdict.detail or _lost_runs(study, verdict),
        "difference": finite(comparison.difference if comparison else None),
        "low": finite(comparison.low if comparison else None),
        "high": finite(comparison.high if comparison else None),
        "p": finite(comparison.p if comparison and comparison.seeds > 1 else None),
        "adjusted_p": finite(
            comparison.adjusted_p
            if comparison and comparison.seeds > 1 and verdict.at != BASELINE_RATE
            else None
        ),
        "differences": list(verdict.differences),
        "confidence": level_name(comparison.confidence)
        if comparison and comparison.confidence
        else "",
        "equivalence": equivalence_interval(study, verdict),
        "seeds": len(known),
        "pairs": len(verdict.pairs),
        "unpaired": list(verdict.unpaired),
        "mean": finite(verdict.mean),
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "caution": _caution(study, verdict),
        "tokens_to_match": "" if verdict.metric.task else tokens_to_match(study, verdict),
    }


def equivalence_interval(study: Study, verdict: Verdict) -> dict[str, Any] | None:
    """Return the interval that decides on "no difference" where it is not the arm's own one.

    Returns:
        ``low``, ``high`` and ``confidence`` of an inconclusive arm; None for any other.
    """
    found = verdict.comparison
    if verdict.label != INCONCLUSIVE or found is None or found.equivalence is None:
        return None
    if verdict.metric.task and not verdict.margin:
        return None  # no verdict rests on it
    assert study.manifest is not None and study.manifest.comparison is not None
    confidence = level_name(1 - study.manifest.comparison.alpha)
    low, high = map(finite, found.equivalence)
    if found.confidence is None or level_name(found.confidence) == confidence or low is None:
        return None
    return {"low": low, "high": high, "confidence": confidence}


def _caution(study: Study, verdict: Verdict) -> str:
    """Return why a verdict is to be read with care; empty at the baseline's rate."""
    design = None if study.manifest is None else study.manifest.comparison
    if design is None or verdict.at != OWN_RATE:
        return ""
    is_searched = design.lr == "search" and not verdict.is_replicate
    doubts = [
        _doubt(study, verdict.arm) if is_searched else "",
        seed_caution(verdict, design.test),
    ]
    return "; ".join(doubt for doubt in doubts if doubt)


def _doubt(study: Study, arm: str) -> str:
    """Return the strongest reason to doubt the rate of an arm; the table of rates has all."""
    reasons = rate_cautions(study, arm)
    return f"the rate may not be the best: {reasons[0]}" if reasons else ""


def baseline_row(study: Study) -> dict[str, Any] | None:
    """Return what the tables show of the baseline: rate, seeds, mean and spread of its loss.

    Returns:
        ``arm``, ``lr``, ``seeds`` with a final loss, ``mean``, ``sd`` and ``detail``, which states
        the seeds that diverged or failed to learn; None without a baseline.
    """
    manifest = study.manifest
    if manifest is None or manifest.comparison is None or manifest.comparison.baseline is None:
        return None
    outcomes = baseline_outcomes(manifest, study.outcomes)
    lost, is_searched = lost_by_cause(outcomes), manifest.comparison.lr == "search"
    return baseline_values(study, outcomes) | {
        "detail": "".join(f", {seeds_phrase(seeds)} {cause}" for cause, seeds in lost.items()),
        "caution": _doubt(study, manifest.comparison.baseline) if is_searched else "",
    }


def baseline_values(study: Study, outcomes: BySeed) -> dict[str, Any]:
    """Return the row of the baseline by any metric; see :func:`baseline_row`.

    Args:
        study: a study with a baseline.
        outcomes: of the baseline by seed, whose ``loss`` is the score.
    """
    assert study.manifest is not None and study.manifest.comparison is not None
    arm, known = str(study.manifest.comparison.baseline), list(known_losses(outcomes).values())
    return {
        "arm": arm,
        "lr": study.manifest.judged_lr(arm, study.outcomes),
        "seeds": len(known),
        "mean": statistics.fmean(known) if known else None,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "detail": "",
        "caution": "",
    }


def _lost_runs(study: Study, verdict: Verdict) -> str:
    """State which seeds of an arm diverged, and at which step, or failed to learn."""
    if verdict.label != "diverged":
        return ""
    steps = [
        record.reached("step")
        for record in study.records
        if record.job.arm == verdict.arm
        and record.job.lr == verdict.lr
        and record.job.seed in verdict.losses
        and record.outcome.has_diverged
    ]
    number = len(verdict.losses)
    told = f" with {len(steps)} of {format_count(number, 'seed')}{at_steps(steps)}" if steps else ""
    if verdict.collapsed:
        seeds = seeds_phrase(verdict.collapsed)
        told += f"; {seeds} failed to learn" if told else f" with {seeds} of {number}"
        told += ": lowered the loss by less than half as much as another run of the arm"
    return told
