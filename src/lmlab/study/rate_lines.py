"""Sentences of the headline on learning rates: where verdicts hold, and which rates are fragile."""

from __future__ import annotations

from collections.abc import Sequence

from lmlab.console.formatting import format_count
from lmlab.study.rate_cautions import rate_cautions
from lmlab.study.rate_edges import runs_by_rate, stable_edge
from lmlab.study.run_records import Study
from lmlab.study.verdicts import (
    BASELINE_RATE,
    DESCRIPTIVE,
    OWN_RATE,
    Verdict,
    arm_phrase,
    seeds_phrase,
)

_WIDE = 3.0  # ratio of the highest stable rates from which they are worth a sentence


def rate_lines(study: Study, verdicts: Sequence[Verdict]) -> list[str]:
    """Return at which rates arms are judged, and what the headline must not hide about rates.

    Args:
        study: a study with a comparison.
        verdicts: its verdicts at both rates.
    """
    design = None if study.manifest is None else study.manifest.comparison
    if design is None or not verdicts:
        return []
    at = "own best" if design.lr == "search" else "configured"
    lines = [f"Verdicts are at each arm's {at} learning rate."]
    if design.num_tested > 1:
        reference = arm_phrase(str(design.baseline))
        lines[0] += f" Arms are compared with {reference} only, not with each other."
    if design.lr != "search":
        return lines
    descriptive = [
        f"{one.arm} {short_difference(one.comparison.difference)}"
        for one in verdicts
        if one.at == BASELINE_RATE and one.label == DESCRIPTIVE and one.comparison is not None
    ]
    if descriptive and study.manifest is not None:
        lines.append(
            f"Differences at the baseline's learning rate, in {study.manifest.unit} (descriptive): "
            f"{', '.join(descriptive)}."
        )
    own = [one.arm for one in verdicts if one.at == OWN_RATE and not one.is_replicate]
    own = [arm for arm in own if arm in design.arms]
    doubtful = [arm for arm in [str(design.baseline), *own] if rate_cautions(study, arm)]
    if doubtful:
        lines.append(
            "The learning rate may not be the best one, so that a difference may be due to the "
            f"rate: {', '.join(doubtful)}; see the table of learning rates."
        )
    lost = [
        f"{one.arm} ({_lost_seeds(one)})"
        for one in verdicts
        if one.at == BASELINE_RATE and one.diverged
    ]
    if lost:
        lines.append(
            "Diverged or failed to learn at the baseline's learning rate (left out of the means "
            f"there): {', '.join(lost)}."
        )
    return [*lines, *_stable_ranges(study, str(design.baseline), own)]


def short_difference(difference: float) -> str:
    """Return a difference with its sign and three decimals; zero has no sign."""
    text = f"{difference:+.3f}"
    return text if float(text) else text[1:]


def _lost_seeds(verdict: Verdict) -> str:
    seeds = [seed for seed, loss in verdict.losses.items() if loss is None]
    named = seeds_phrase(seeds) if len(seeds) == verdict.diverged else f"{verdict.diverged}"
    return f"{named} of {format_count(len(verdict.losses), 'seed')}"


def _stable_ranges(study: Study, baseline: str, arms: Sequence[str]) -> list[str]:
    """State which arms have a highest stable rate far from that of the baseline."""
    highest = {}
    for arm in dict.fromkeys([baseline, *arms]):
        stable, unstable = stable_edge(runs_by_rate(study, arm))
        if stable is not None and unstable is not None:
            highest[arm] = stable
    reference = highest.pop(baseline, None)
    if reference is None:
        return []
    far = [
        f"{arm} up to {rate:g}"
        for arm, rate in highest.items()
        if max(rate / reference, reference / rate) >= _WIDE
    ]
    if not far:
        return []
    name = arm_phrase(baseline)
    return [
        f"Stable learning rates differ by a factor of {_WIDE:g} or more from {name} (up to "
        f"{reference:g}): {', '.join(far)}."
    ]
