"""The figure of an isoFLOP study's losses: loss against parameters, a curve for each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from lmlab.study.figure_style import GREY, add_grid, label_sparsely, line_style, new_figure
from lmlab.study.ladder_report.wording import power_text
from lmlab.study.ladders.isoflop_optimum import AT_LEAST, FLAT

_SMALL = 8  # font size
_REACH = 1.6  # factor beyond the sizes at which intervals are cut off
_ARROW = 1.25  # factor by which the arrow of a bound is long


def draw_losses_by_size(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw losses against parameters, with the curve and the minimum of each budget.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    ladder = content["ladder"]
    isoflop = None if ladder is None else ladder.get("isoflop")
    if not isoflop or not isoflop["curves"]:
        return None
    figure = new_figure(4.4 if narrow else 8, 4.6)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    rungs = [curve["rung"] for curve in isoflop["curves"]]
    sizes = [one for curve in isoflop["curves"] for one in curve["parameters"]]
    ends = min(sizes) / _REACH, max(sizes) * _REACH
    has_hollow = False
    for curve in isoflop["curves"]:
        style = line_style(curve["rung"])
        axes.plot(curve["parameters"], curve["loss"], color=style["color"], linewidth=1.3,
                  label="_curve")  # fmt: skip
        has_hollow |= _draw_losses(axes, isoflop["sizes"], curve["rung"], style)
    for row in isoflop["optima"]:
        curve = next(one for one in isoflop["curves"] if one["rung"] == row["rung"])
        _draw_minimum(axes, row, curve, line_style(row["rung"]), ends)
    axes.set_xlim(*ends)
    label_sparsely(axes.yaxis)
    _label_sizes(axes, narrow)
    axes.set_xlabel("parameters")
    axes.set_ylabel(f"final validation loss ({content['unit']})", fontsize=_SMALL + 1)
    axes.set_title(f"{content['title']}: loss against size", loc="left", fontsize=11)
    add_grid(axes)
    axes.grid(which="minor", axis="x", visible=False)
    _add_legend(figure, isoflop, rungs, has_hollow, narrow)
    return figure


def _label_sizes(axes: Axes, narrow: bool) -> None:
    """Label a logarithmic axis of sizes at round values: 50K, 100K, 1M."""
    label_sparsely(axes.xaxis)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if narrow:
        axes.tick_params(axis="x", labelsize=_SMALL)


def _draw_losses(
    axes: Axes, sizes: Sequence[Mapping[str, Any]], rung: int, style: Mapping[str, Any]
) -> bool:
    """Draw the losses at a budget; return whether any is left out of its curve."""
    found = False
    for row in sizes:
        one = row["rungs"][rung]
        if one["mean"] is None or row["parameters"] is None:
            continue
        face = "none" if one["left_out"] else style["color"]
        axes.errorbar(
            [row["parameters"]], [one["mean"]], yerr=[one["sd"] or 0.0], color=style["color"],
            marker=style["marker"], markersize=4.5, markerfacecolor=face, capsize=2,
            elinewidth=1, linestyle="none", label="_mean",
        )  # fmt: skip
        found |= one["left_out"]
    return found


def _draw_minimum(
    axes: Axes, row: Mapping[str, Any], curve: Mapping[str, Any], style: Mapping[str, Any],
    ends: tuple[float, float],
) -> None:  # fmt: skip
    """Draw the best size with its interval, or the arrow of a bound; nothing where flat."""
    if row["bound"] == FLAT:
        return
    size, colour = row["parameters"]["value"], style["color"]
    if row["bound"]:
        is_above = row["bound"] == AT_LEAST
        loss, mark = curve["loss"][-1 if is_above else 0], ">" if is_above else "<"
        tip = size * _ARROW if is_above else size / _ARROW
        axes.plot([size, tip], [loss, loss], color=colour, linewidth=1.6, label="_bound")
        axes.plot([tip], [loss], mark, color=colour, markersize=6, label="_bound")
        return
    loss = row["loss"]["value"]
    low = max(row["parameters"]["low"] or 0.0, ends[0])
    high = min(row["parameters"]["high"] or ends[1], ends[1])
    axes.plot([low, high], [loss, loss], color=colour, linewidth=2.6, alpha=0.45,
              solid_capstyle="butt", label="_interval")  # fmt: skip
    axes.plot([size], [loss], "*", color=colour, markersize=11, markeredgecolor="white",
              markeredgewidth=0.7, label="_minimum")  # fmt: skip


def _add_legend(
    figure: Figure, isoflop: Mapping[str, Any], rungs: Sequence[int], has_hollow: bool, narrow: bool
) -> None:
    handles = [
        Line2D([], [], color=style["color"], marker=style["marker"], markersize=4.5, linewidth=1.3)
        for style in map(line_style, rungs)
    ]
    budgets = isoflop["budgets"]
    names = [f"{budgets[rung]['name']}: {power_text(budgets[rung]['flops'])} FLOPs"
             for rung in rungs]  # fmt: skip
    if any(not row["bound"] for row in isoflop["optima"]):
        handles.append(Line2D([], [], color=GREY, marker="*", markersize=10, linewidth=2.6))
        names.append("best size and interval")
    if any(row["bound"] and row["bound"] != FLAT for row in isoflop["optima"]):
        handles.append(Line2D([], [], color=GREY, marker=">", markersize=6, linewidth=1.6))
        names.append("bound")
    if has_hollow:
        handles.append(Line2D([], [], color=GREY, marker="o", markerfacecolor="none",
                              linestyle="none"))  # fmt: skip
        names.append("off its budget")
    figure.legend(handles, names, loc="outside lower center", ncols=2 if narrow else 4,
                  fontsize=_SMALL, handlelength=3, edgecolor="none")  # fmt: skip
