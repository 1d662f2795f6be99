"""The tokens after which the better of two arms has the other's final loss, from their curves."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from lmlab.study.run_records import Study
from lmlab.study.verdicts import Verdict, arm_phrase

_NOTE = (
    '"Tokens to match" are read off the mean validation curves, interpolated linearly between '
    "evaluations."
)
_DECAYS = (
    " They compare a loss in the middle of one schedule with one at the end of the other: the "
    "learning rate of the better arm has not fully decayed there, so a run whose schedule ended "
    "there would probably need fewer tokens."
)


def tokens_note(study: Study) -> str:
    """State how tokens to match are read off, and what a schedule that decays does to them."""
    arms = [] if study.manifest is None else study.manifest.arms
    schedules = [str((arm.get("schedule") or {}).get("_target_", "")) for arm in arms]
    is_constant = any(one.rpartition(".")[2] == "constant" for one in schedules)
    return _NOTE if is_constant else _NOTE + _DECAYS


def tokens_to_match(study: Study, verdict: Verdict) -> str:
    """State after which fraction of the tokens the better arm has the other's final loss.

    The mean validation curves are interpolated linearly between evaluations, never extrapolated. In
    the middle of its schedule a run has a higher loss than a run whose schedule ends there, so the
    fraction is an overestimate.

    Returns:
        One sentence; empty unless the verdict is better or worse and the better curve reaches the
        loss.
    """
    manifest = study.manifest
    assert manifest is not None and manifest.comparison is not None
    if verdict.label not in ("better", "worse"):
        return ""
    baseline = str(manifest.comparison.baseline)
    arm_curve = mean_curve(study, verdict.arm, verdict.lr)
    baseline_curve = mean_curve(study, baseline, verdict.baseline_lr)
    if not arm_curve or not baseline_curve:
        return ""
    leader, other = verdict.arm, baseline
    leader_curve, other_curve = arm_curve, baseline_curve
    if verdict.label == "worse":
        leader, other = other, leader
        leader_curve, other_curve = other_curve, leader_curve
    fraction = fraction_to_reach(leader_curve, other_curve[-1][1])
    if fraction is None:
        return ""
    fraction *= leader_curve[-1][0] / other_curve[-1][0]  # of the tokens that the other needs
    if fraction >= 0.995:  # shown as 100%
        return ""
    return (
        f"{arm_phrase(leader)} reaches {arm_phrase(other)}'s final loss after {fraction:.0%} of "
        "the tokens"
    )


def mean_curve(study: Study, arm: str, lr: float | None) -> list[tuple[float, float]]:
    """Return (tokens, mean validation loss) where all judging runs of an arm were evaluated."""
    curves = [
        {row["tokens"]: row[record.metric] for row in record.validation if "tokens" in row}
        for record in study.records
        if record.job.arm == arm and record.job.lr == lr and record.state == "done"
        and set(record.purposes) & {"judged", "baseline's lr"}
    ]  # fmt: skip
    if not curves:
        return []
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [(tokens, statistics.fmean(curve[tokens] for curve in curves)) for tokens in shared]


def fraction_to_reach(curve: Sequence[tuple[float, float]], loss: float) -> float | None:
    """Return the fraction of its tokens after which a curve first has ``loss``; None if never."""
    for (before, high), (after, low) in itertools.pairwise(curve):
        if high > loss >= low:
            tokens = before + (after - before) * (high - loss) / (high - low)
            return tokens / curve[-1][0]
    return None
