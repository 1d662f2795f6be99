"""Captions that explain marks: of the figures in Markdown, and of the page's chart of rates."""

from __future__ import annotations

from typing import Any

from lmlab.study.rate_edges import BEYOND, DIVERGED, FAILED
from lmlab.study.verdicts import OWN_RATE

_RATE_MARKS = {
    DIVERGED: "at a cross, a run diverged",
    FAILED: "at a ring around a dot, a run failed to learn",
    BEYOND: "at a triangle, all runs trained, but at a lower rate one did not",
}


def figure_caption(name: str, content: dict[str, Any]) -> str:
    """Return how to read a figure of the report in Markdown.

    Args:
        name: file name of the figure.
        content: result of :func:`lmlab.study.report_content.build_content`.

    Returns:
        Sentences; empty for a figure that explains itself.
    """
    if name == "verdicts.png":
        return _verdicts(content)
    if name == "curves.png" and content["curve_note"]:
        return (
            f"{content['curve_note']} The evaluation before training is left out. The loss axis is "
            "logarithmic."
        )
    return ""


def rate_caption(content: dict[str, Any]) -> str:
    """Return how to read the page's chart of learning rates: only marks that it has."""
    arms = [arm for arm in content["arms"] if arm["rate_states"]]
    states = {state for arm in arms for _, state in arm["rate_states"]}
    searched = [row for row in content["rates"] if row["purpose"] == "search"]
    names = {row["arm"] for row in searched}
    later = [
        row
        for row in content["rates"]
        if row["purpose"] in ("judged", "baseline's lr") and row["arm"] in names
    ]
    text = "Lines join the means over the runs of the search; dots are these runs"
    if later:
        text += ", open markers are runs after the search"
    runs = [(row["arm"], row["lr"], row["purpose"] == "search") for row in (*searched, *later)]
    if len(set(runs)) < len(runs):
        text += (
            ", and bars are standard deviations over the runs that finished; one that leaves the "
            "chart ends in an arrow"
        )
    if not states & {DIVERGED, FAILED}:
        return f"{text}."
    marks = [mark for state, mark in _RATE_MARKS.items() if state in states]
    return (
        f"{text}. Below the chart, a line spans the stable rates of each arm; {'; '.join(marks)}. "
        "Stability counts search and judged runs alike."
    )


def _verdicts(content: dict[str, Any]) -> str:
    shown = [row for row in content["verdicts"] if row["at"] == OWN_RATE]
    of_replicate = (
        ", or of runs of the replicate from the mean of the baseline"
        if any(row["is_replicate"] for row in shown)
        else ""
    )
    return (
        "Large marks are mean differences, bars their confidence intervals, each at the level of "
        "its row in the table; small dots are the differences of single pairs of seeds"
        f"{of_replicate}."
    )
