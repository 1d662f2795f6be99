"""What a report says of a study that was repeated with further arms, or with fewer."""

from __future__ import annotations

from lmlab.console.formatting import format_count, format_list
from lmlab.design.comparison import Comparison


def describe_added_arms(design: Comparison) -> list[str]:
    """State which arms were added or left out since the study judged its arms first.

    All arms of the study share its level by Holm's method, whenever they were added. Its first step
    tests the clearest arm at alpha divided by their number.

    Args:
        design: declaration of the study, with the arms that it judged before.
    """
    lines = []
    added, before = design.added_arms, len(design.earlier_arms)
    if added:
        number = max(len(design.metrics), 1)
        now, then = (
            f"{100 * design.alpha / (number * arms):.3g}%" for arms in (before + len(added), before)
        )
        was, it = ("was", "it") if len(added) == 1 else ("were", "them")
        lines.append(
            f"{format_count(len(added), 'arm')} {was} added after the study had judged "
            f"{format_count(before, 'other arm')}: {format_list(added)}. Holm's method counts {it} "
            f"from then on: the clearest arm is tested at a level of {now}, not {then}, so a "
            "verdict of an earlier report may become inconclusive. The probability of a false "
            f"verdict is at most {100 * design.alpha:g}% within this report, not over all reports "
            "of the study."
        )
    if design.dropped_arms:
        number = len(design.dropped_arms)
        verb, them = ("is", "it") if number == 1 else ("are", "them")
        lines.append(
            f"{format_count(number, 'arm')} that the study judged before {verb} no longer in it: "
            f"{format_list(design.dropped_arms)}. Holm's method does not count {them}."
        )
    return lines
