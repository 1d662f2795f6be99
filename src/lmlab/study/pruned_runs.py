"""What the searches of a study left out, as sentences of its report."""

from __future__ import annotations

from lmlab.console.formatting import format_count, format_list
from lmlab.design.manifest import tuning_outcomes
from lmlab.design.pruning import NEVER
from lmlab.study.run_records import Study


def describe_pruning(study: Study) -> list[str]:
    """State which runs the searches of a study left out, and how many updates that saved.

    Args:
        study: a study with a comparison.

    Returns:
        No sentence if the study does not prune.
    """
    manifest = study.manifest
    if manifest is None or manifest.comparison is None or manifest.comparison.prune == NEVER:
        return []
    texts, total, updates = [], 0, 0
    for arm in manifest.searched_arms:
        pruned = manifest.lr_search(arm).pruned_runs(tuning_outcomes(arm, study.outcomes))
        if not pruned:
            continue
        steps = [one.reached("step") or 0 for one in study.records if one.job.arm == arm]
        total, updates = total + len(pruned), updates + len(pruned) * int(max(steps, default=0))
        rates = format_list([f"{rate:g}" for rate in sorted({rate for rate, _ in pruned})])
        texts.append(f"{arm} {len(pruned)} (at {rates})")
    rule = (
        "Further tuning seeds were left out where they could not move the best rate by an amount "
        "that matters (design.prune), and the rate below the first one where that above it was "
        "better"
    )
    if not total:
        return [f"{rule}; no run was left out."]
    return [
        f"{rule}: {format_count(total, 'run')} of {format_count(updates, 'update')} fewer in all; "
        f"{', '.join(texts)}."
    ]
