"""What the report of a stack that is taken apart says beside the parts of every comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.study.ladder_report.sections import section, table
from lmlab.study.run_records import Study
from lmlab.study.run_section import finite
from lmlab.study.stack_report.stack_study import EARNS, HARMS, IDLE, StackStudy
from lmlab.study.statistics import INCONCLUSIVE, level_name
from lmlab.study.t_test import Estimate
from lmlab.study.verdicts import Verdict

_HEADLINES = {
    EARNS: "Earns its place beside the others: {changes}.",
    HARMS: "Does harm beside the others: {changes}.",
    IDLE: "Can go, because the stack without it is not worse by more than {margin:g}: {changes}.",
    INCONCLUSIVE: "Inconclusive: {changes}.",
}


def build_stack(found: StackStudy) -> dict[str, Any]:
    """Return everything that the report says of a stack, as plain values.

    Returns:
        ``rows`` of the changes, with what each is worth, its interval and verdict; ``sums``: the
        sum of the parts, the whole and their gap, each with its interval, or None; ``seeds`` that
        they rest on; ``margin`` and the ``headline``.
    """
    sums = found.sums()
    level = found.design.alpha
    content: dict[str, Any] = {
        "rows": [_row(found, change, verdict) for change, verdict in found.by_change.items()],
        "sums": None if sums is None else {
            key: _interval(one, level)
            for key, one in zip(("parts", "whole", "gap"), sums, strict=True)
        },
        "seeds": len(found.seeds),
        "confidence": level_name(1 - level),
        "margin": found.design.margin,
    }  # fmt: skip
    content["headline"] = _headline(found, content)
    return content


def _row(found: StackStudy, change: str, verdict: Verdict) -> dict[str, Any]:
    comparison = verdict.comparison
    return {
        "change": change,
        "label": found.label(change),
        "detail": verdict.detail.lstrip(":, "),
        "worth": finite(comparison.difference if comparison else None),
        "low": finite(comparison.low if comparison else None),
        "high": finite(comparison.high if comparison else None),
        "confidence": level_name(comparison.confidence)
        if comparison and comparison.confidence
        else "",
        "seeds": list(verdict.differences),
    }


def _interval(found: Estimate, level: float) -> list[float]:
    return [found.difference, *found.interval(level)]


def _headline(found: StackStudy, content: Mapping[str, Any]) -> list[str]:
    lines = []
    for label, sentence in _HEADLINES.items():
        changes = [
            row["change"] + ("" if row["worth"] is None else f" ({row['worth']:+.4f})")
            for row in content["rows"]
            if row["label"] == label
        ]
        if changes:
            margin = found.design.margin
            lines.append(sentence.format(changes=", ".join(changes), margin=margin))
    if content["sums"] is None:
        return lines
    parts, whole, gap = (content["sums"][key] for key in ("parts", "whole", "gap"))
    return [
        *lines,
        f"All changes together are worth {whole[0]:+.4f}, the sum of the single ones is "
        f"{parts[0]:+.4f}: {gap_text(gap)} (a gap of {gap[0]:+.4f}, {gap[1]:+.4f} to "
        f"{gap[2]:+.4f}, {content['confidence']}).",
    ]


def gap_text(gap: Sequence[float]) -> str:
    """State what a gap between the sum of the parts and the whole means.

    Args:
        gap: the estimate and the ends of its interval.
    """
    if gap[1] > 0:
        return "they need each other"
    if gap[2] < 0:
        return "some can stand in for others"
    return "no sign that they act on each other"


def stack_parts(
    study: Study, content: Mapping[str, Any], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Return what the report says in place of some parts of a comparison.

    Args:
        study: a stack that is taken apart.
        content: the parts of a comparison of its arms.
        verdicts: by the main metric.
    """
    found = StackStudy(study, verdicts)
    stack = build_stack(found)
    terms = dict(content["glossary"]) | {
        "stack": "The model with all changes, with which each arm is compared.",
        "worth": "What the removal of a change adds to the final loss, in the unit of the metric.",
    }
    return {
        "stack": stack,
        "sections": _sections(found, stack),
        "headline": [*stack["headline"], *content["headline"]],
        "glossary": [[term, terms[term]] for term in sorted(terms)],
    }


def _sections(found: StackStudy, stack: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [
        [
            row["change"], row["label"] + (f": {row['detail']}" if row["detail"] else ""),
            "" if row["worth"] is None else f"{row['worth']:+.4f}",
            _text(row["low"], row["high"], row["confidence"]),
        ]
        for row in stack["rows"]
    ]  # fmt: skip
    sums = stack["sums"] or {}
    names = {"parts": "sum of the changes", "whole": "all changes together", "gap": "gap"}
    totals = [
        [names[key], f"{one[0]:+.4f}", _text(one[1], one[2], stack["confidence"])]
        for key, one in sums.items()
    ]
    notes = [
        "A change is worth what its removal adds to the loss of the stack. The verdicts are those "
        "on the arms that leave it out; a change of which they show no difference can go."
    ]
    if sums:
        seeds = format_count(stack["seeds"], "seed")
        notes.append(
            f"Sum, whole and gap are within each of {seeds}, with t intervals. If changes did not "
            "act on each other, the gap would be zero. Changes that can stand in for each other "
            "must not be removed together on the evidence of single removals."
        )
    elif found.lost_arms:
        notes.append(
            f"There is no sum, because runs of {', '.join(found.lost_arms)} have no final loss."
        )
    return [
        section(
            "stack", "What each change is worth",
            [table("what each change is worth", ["change", "verdict", "worth", "interval"], rows,
                   words=(0, 1)),
             table("the parts and the whole", ["", "worth", "interval"], totals)],
            notes, ["stack"],
        )
    ]  # fmt: skip


def _text(low: float | None, high: float | None, confidence: str) -> str:
    return "" if low is None or high is None else f"{low:+.4f} to {high:+.4f} ({confidence})"
