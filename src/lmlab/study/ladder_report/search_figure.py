"""The figure of a ladder's searches: loss above the best of its rung, against learning rate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from lmlab.study.chart_scales import limits, loss_scale, set_scale
from lmlab.study.figure_style import add_grid, line_style, new_figure, shorten
from lmlab.study.ladder_report.wording import power_text

_SMALL = 8  # font size


def draw_searches(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw the searches of a ladder: a panel for each arm, and a line for each rung.

    Losses are measured from the lowest mean of their rung, so that a drift of the best rate is a
    shift of the curves, and what a rate of another size costs is a height. The axis is compressed
    where a few losses are much higher.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    ladder = content["ladder"]
    searches = [] if ladder is None else ladder["rates"]["searches"]
    if not searches:
        return None
    arms = list(dict.fromkeys(row["arm"] for row in searches))
    columns = min(len(arms), 2 if narrow else 3)
    rows = math.ceil(len(arms) / columns)
    figure = new_figure(4.4 if narrow else 8, (2.3 if narrow else 2.5) * rows + 1.0)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in panels.flat[len(arms) :]:
        panel.set_visible(False)
    heights = [one for row in searches for point in row["points"] for one in point["excess"]]
    scale = loss_scale([0.0, *heights])
    low, high = limits(scale, [0.0, *heights])
    for index, (panel, arm) in enumerate(zip(panels.flat, arms, strict=False)):
        panel.set_xscale("log")
        set_scale(panel, "y", scale, low, high)
        for row in searches:
            if row["arm"] == arm:
                _draw_search(panel, row, line_style(row["rung"]))
        panel.set_title(shorten(arm, 28), loc="left", fontsize=_SMALL + 1)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        panel.tick_params(axis="x", labelsize=_SMALL)
        if index + columns >= len(arms):  # the lowest panel of its column
            panel.tick_params(labelbottom=True)
        add_grid(panel)
        panel.grid(which="minor", axis="x", visible=False)
    compressed = "" if scale.width is None else "\n(linear near the best, logarithmic beyond)"
    figure.supylabel(f"loss above the best of its rung{compressed}", fontsize=_SMALL + 1)
    _add_legend(figure, ladder["rungs"], searches, narrow)
    return figure


def _draw_search(axes: Axes, row: Mapping[str, Any], style: Mapping[str, Any]) -> None:
    points = row["points"]
    for one in points:
        axes.plot([one["rate"]] * len(one["excess"]), one["excess"], ".", color=style["color"],
                  alpha=0.5, markersize=3.5, label="_seeds")  # fmt: skip
    whole = [one for one in points if one["excess"] and not one["lost"]]
    axes.plot(
        [one["rate"] for one in whole],
        [statistics.fmean(one["excess"]) for one in whole],
        markersize=4, linewidth=1.2, label="_means", **style,
    )  # fmt: skip
    if row["best"] is not None:
        axes.plot([row["best"]], [0.0], "|", color=style["color"], markersize=13,
                  markeredgewidth=2, label="_best")  # fmt: skip


def _add_legend(
    figure: Figure, rungs: Sequence[Mapping[str, Any]], searches: Sequence[Mapping[str, Any]],
    narrow: bool,
) -> None:  # fmt: skip
    shown = sorted({row["rung"] for row in searches})
    handles = [Line2D([], [], markersize=5, linewidth=1.2, **line_style(rung)) for rung in shown]
    names = [_rung_label(rungs[rung]) for rung in shown]
    figure.legend(handles, names, loc="outside lower center", ncols=2 if narrow else 4,
                  fontsize=_SMALL, handlelength=3, edgecolor="none", title_fontsize=_SMALL + 1,
                  title="peak learning rate (bar: the best one, as fitted)")  # fmt: skip


def _rung_label(rung: Mapping[str, Any]) -> str:
    """Return a rung with its width, or a budget of an isoFLOP study with its compute."""
    if "d_model" in rung:
        return f"{rung['name']}, width {rung['d_model']:,}"
    return f"{rung['name']}: {power_text(rung['flops'])} FLOPs"
