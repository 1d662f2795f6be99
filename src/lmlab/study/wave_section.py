"""What a report says about the looks of a sequential study, and about how each arm ended."""

from __future__ import annotations

from lmlab.console.formatting import format_count
from lmlab.design.comparison import Comparison
from lmlab.design.job import Outcomes
from lmlab.design.manifest import Manifest
from lmlab.study import waves
from lmlab.study.decision_rules import decision_rule

_REASONS = {
    waves.FUTILITY: "a verdict had become improbable",
    waves.USED_UP: "these are all seeds that it may get",
    waves.MAX_RUNS: "design.max_runs allows no more",
    waves.MAX_MINUTES: "design.max_minutes allow no more",
    waves.BASELINE_LOST: "the baseline diverged or failed to learn",
    waves.UNFINISHED: "runs are missing, so it may go on",
}


def looks_rule(design: Comparison) -> str:
    """State when a sequential study looks, and at which levels."""
    rule = decision_rule(design)
    levels = dict.fromkeys((design.alpha, design.alpha / max(design.family, 1)))
    each = [f"{100 * rule.nominal_level(one):.3g}% for {100 * one:.3g}%" for one in levels]
    futility = (
        f" An arm also ends where a verdict at {format_count(rule.seeds, 'seed')} has a predicted "
        f"probability below {100 * rule.futility:g}%."
        if rule.futility
        else ""
    )
    return (
        f"Arms are tested after {format_count(rule.min_seeds, 'seed')}, and those without a "
        f"verdict again after each further one, up to {rule.seeds}. P-values and intervals account "
        f"for all {len(rule.looks)} looks: each has the same nominal level, at which together they "
        f"have the stated one (Pocock's method, exact for normal differences): {', '.join(each)}."
        f"{futility}"
    )


def describe_ends(manifest: Manifest, outcomes: Outcomes) -> list[str]:
    """State after how many seeds each arm of a sequential study ended, and why."""
    design = manifest.comparison
    if design is None or not design.is_sequential:
        return []
    followed = waves.follow_waves(manifest, outcomes)
    texts = []
    for arm in design.compared_arms:
        number, end = followed.seeds[arm], followed.ends[arm]
        reason = f"undecided, since {_REASONS[end]}" if end in _REASONS else end
        if end == waves.UNFINISHED and design.max_minutes is not None:
            reason = f"undecided, since runs are missing, or {_REASONS[waves.MAX_MINUTES]}"
        texts.append(f"{arm} after {format_count(number, 'seed')} ({reason})")
    return [f"How the arms ended: {'; '.join(texts)}."]
