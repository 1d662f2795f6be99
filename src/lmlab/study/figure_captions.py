"""The captions of a report's figures in Markdown, where no page explains them."""

from __future__ import annotations

from typing import Any

from lmlab.study.verdicts import OWN_RATE


def figure_caption(name: str, content: dict[str, Any]) -> str:
    """Return how to read a figure.

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
