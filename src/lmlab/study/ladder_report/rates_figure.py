"""The figure of a ladder's learning rates against the size of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lmlab.study.figure_style import (
    GREY,
    add_grid,
    label_sparsely,
    line_style,
    new_figure,
    shorten,
)
from lmlab.study.ladder_report.loss_figure import shifts_of

_REACH = 2.0  # factor beyond the rates at which intervals are cut off
_SMALL = 8  # font size
_LARGE = 20_000  # sizes from here on are labelled by powers of ten


def draw_rates_by_size(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw the rates of each arm against the size that the rungs vary, and their power law.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    ladder = content["ladder"]
    rows = [] if ladder is None else [row for row in ladder["rates"]["arms"] if row["law"]]
    if not rows:
        return None
    figure = new_figure(4.4 if narrow else 8, 4.2)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    styles = {arm["name"]: line_style(index) for index, arm in enumerate(content["arms"])}
    sizes = [one["size"] for one in rows[0]["rungs"]]
    shifts = shifts_of([row["arm"] for row in rows], sizes)
    rates = [one["rate"] for row in rows for one in row["rungs"] if one["rate"] is not None]
    ends = min(rates) / _REACH, max(rates) * _REACH
    for row in rows:
        _draw_arm(axes, row, styles[row["arm"]], shifts[row["arm"]], ends)
    axes.set_ylim(ends[0] / 1.05, ends[1] * 1.05)
    label_sparsely(axes.yaxis)
    label_sizes(axes, ladder["rates"]["axis"], sizes)
    axes.set_ylabel("peak learning rate")
    axes.set_title(f"{content['title']}: rates against size", loc="left", fontsize=11)
    add_grid(axes)
    axes.grid(which="minor", axis="x", visible=False)
    names = [row["arm"] for row in rows]
    handles = [Line2D([], [], markersize=5.5, linewidth=1.2, **styles[name]) for name in names]
    labels = [shorten(name, 24) for name in names]
    origins = {one["origin"] for row in rows for one in row["rungs"]}
    if "transferred" in origins:
        handles.append(Line2D([], [], color=GREY, marker="o", markerfacecolor="none",
                              linestyle="none"))  # fmt: skip
        labels.append("transferred")
    figure.legend(handles, labels, loc="outside lower center", ncols=3 if narrow else 6,
                  fontsize=_SMALL, handlelength=3, edgecolor="none")  # fmt: skip
    return figure


def label_sizes(axes: Axes, label: str, sizes: Sequence[float]) -> None:
    """Label an axis of sizes; a few small ones, such as widths, each with its number."""
    axes.set_xlabel(label)
    if max(sizes) < _LARGE:
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.set_xticks([], minor=True)


def _draw_arm(
    axes: Axes, row: Mapping[str, Any], style: Mapping[str, Any], shift: float,
    ends: tuple[float, float],
) -> None:  # fmt: skip
    colour = style["color"]
    axes.plot(row["law"]["size"], row["law"]["rate"], color=colour, linestyle=style["linestyle"],
              linewidth=1.1, alpha=0.8)  # fmt: skip
    for one in row["rungs"]:
        if one["rate"] is None:
            continue
        x = one["size"] * shift
        if one["low"] is not None or one["high"] is not None:
            low = max(one["low"] or 0.0, ends[0])
            high = ends[1] if one["high"] is None else min(one["high"], ends[1])
            axes.plot([x, x], [low, high], color=colour, linewidth=1.1)
            for end, mark in ((low, "v"), (high, "^")):
                if end in ends:
                    axes.plot([x], [end], mark, color=colour, markersize=4)
        is_hollow = one["origin"] == "transferred"
        axes.plot([x], [one["rate"]], style["marker"], color=colour, markersize=6,
                  markerfacecolor="none" if is_hollow else colour)  # fmt: skip
