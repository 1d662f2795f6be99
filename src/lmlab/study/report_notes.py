"""Notes of a report that say how to read its tables of verdicts and its charts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from lmlab.console.formatting import format_list
from lmlab.design.manifest import Manifest
from lmlab.study.added_arms import describe_added_arms
from lmlab.study.decision_rules import decision_rule, looks_phrase
from lmlab.study.rate_edges import NEAR
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.tokens_to_match import tokens_note, tokens_to_match
from lmlab.study.verdict_section import equivalence_interval
from lmlab.study.verdicts import OWN_RATE, Verdict, baseline_outcomes

_VARYING = 1.2  # ratio of wall times from which runs of equal work are no measure of speed


def verdict_notes(study: Study, verdicts: Sequence[Verdict]) -> list[str]:
    """State with which seeds arms are compared, and what the columns of a verdict mean."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None or not verdicts:
        return []
    notes = [f"{manifest.held_seeds_note}."] if manifest.held_seeds_note else []
    notes += describe_added_arms(manifest.comparison)
    notes += _shared_seeds(manifest, study, verdicts)
    own = [verdict for verdict in verdicts if verdict.at == OWN_RATE]
    if len({one.comparison.confidence for one in own if one.comparison is not None}) > 1:
        where = " of the first table" if len(own) < len(verdicts) else ""
        notes.append(
            f"The confidence differs by row{where}: it depends on the verdict, and on the rank of "
            "the p-value among the arms."
        )
    looks = looks_phrase(manifest.comparison)
    if looks and any(one.comparison and one.comparison.confidence for one in verdicts):
        at = format_list(map(str, decision_rule(manifest.comparison).looks))
        notes.append(
            f"P-values and intervals account for {looks} (after {at} seeds): they are larger and "
            "wider than those of a single test of the same runs."
        )
    if any("needed" in verdict.detail for verdict in verdicts):
        notes.append(
            '"About N more seeds needed" is a prediction: repeated with as many more seeds, '
            "the study would find the difference, or that there is none within the margin, with "
            f"{100 * manifest.comparison.power:g}% power if the observed difference and spread "
            "were the true ones. It accounts for testing the same runs once more."
        )
    if any(equivalence_interval(study, verdict) for verdict in verdicts):
        notes.append(
            "Inconclusive arms have two intervals: the first decides whether an arm is better or "
            "worse and is corrected for comparing several arms, the second decides whether there "
            "is no difference and is not."
        )
    if any(tokens_to_match(study, verdict) for verdict in verdicts):
        notes.append(tokens_note(study))
    return notes


def curve_note(study: Study) -> str:
    """State which runs the learning curves of a comparison show."""
    design = None if study.manifest is None else study.manifest.comparison
    if design is None:
        return ""
    is_search = design.lr == "search"
    at = "best" if is_search else "configured"
    note = f"Curves are of the judged runs of each arm at its own {at} learning rate"
    return f"{note}; runs of the learning rate search are left out." if is_search else f"{note}."


def rate_notes(study: Study) -> list[str]:
    """State how to read the losses against learning rates, and what counts as trained."""
    design = None if study.manifest is None else study.manifest.comparison
    if design is None or design.lr != "search":
        return []
    return [
        "Judged runs use other seeds than the search, mostly at a rate that was fitted rather than "
        "tried, so their losses may lie above the curve of the search.",
        "The evidence gives final losses beside the edge, and the limit above which a run fails to "
        "learn, as the decision rule defines it. A final loss is called near the limit if it "
        f"differs from it by at most {100 * NEAR:g}% of the best run's gain; a threshold slightly "
        "other than one half may then move the edge.",
    ]


def _shared_seeds(manifest: Manifest, study: Study, verdicts: Sequence[Verdict]) -> list[str]:
    """State the mean of the baseline's runs that arms with fewer seeds are compared with."""
    losses = {
        seed: outcome.loss
        for seed, outcome in baseline_outcomes(manifest, study.outcomes).items()
        if outcome.loss is not None
    }
    notes = []
    for is_replicate, sentence in (
        (False, "Arms with fewer seeds than the baseline are compared with the same seeds of the "
         "baseline"),
        (True, "The replicate is compared with as many of the baseline's runs as it has, the first "
         "ones"),
    ):  # fmt: skip
        means: dict[str, None] = {}
        for verdict in verdicts:
            shared = [losses[seed] for seed in verdict.baseline_seeds if seed in losses]
            if verdict.is_replicate == is_replicate and 0 < len(shared) < len(losses):
                means[f"mean {statistics.fmean(shared):.4f} over {len(shared)}"] = None
        if means:
            notes.append(f"{sentence} ({', '.join(means)}), not with the mean in its row.")
    return notes


def time_notes(records: Sequence[RunRecord]) -> list[str]:
    """State how much the wall time of equal work varies, where it varies much."""
    by_work: dict[tuple[object, ...], list[float]] = {}
    for record in records:
        seconds = record.reached("seconds")
        if record.state == "done" and seconds:
            work = (record.job.arm, record.reached("step"), record.reached("tokens"))
            by_work.setdefault(work, []).append(seconds)
    ratio = max((max(times) / min(times) for times in by_work.values()), default=1.0)
    if ratio <= _VARYING:
        return []
    return [
        "Wall time of equal work varies with the load of the machine: runs of one arm with the "
        f"same steps and tokens differ by up to a factor of {ratio:.1f}. Compare arms by tokens or "
        "FLOPs."
    ]
