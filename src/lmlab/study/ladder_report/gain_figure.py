"""The figure of a ladder's gains: a panel per arm, with the trend, its band, and a line at 1."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from lmlab.study.figure_style import (
    GREY,
    add_grid,
    label_sparsely,
    line_style,
    new_figure,
    shorten,
)
from lmlab.study.ladder_report.loss_figure import draw_forecast, sealed_forecasts
from lmlab.study.ladder_report.wording import cost_ticks

_REACH = 1.5  # factor beyond gains and trends at which intervals are cut off
_ARROW = 1.12  # factor by which the arrow of a bound is long
_SMALL = 8  # font size


def draw_gains(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw gains against training compute.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    ladder = content["ladder"]
    if ladder is None:
        return None
    sentences = {row["arm"]: row["sentence"] for row in ladder["verdicts"]}
    forecasts = sealed_forecasts(ladder, "gain")
    return _draw(content, ladder["gains"], sentences, forecasts, "training compute (FLOPs)", narrow)


def draw_timed_gains(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw gains against wall-clock seconds; see :func:`draw_gains`."""
    ladder = content["ladder"]
    if ladder is None:
        return None
    label = "training time of the baseline (seconds)"
    return _draw(content, ladder["timed"]["gains"], {}, {}, label, narrow)


def _draw(
    content: dict[str, Any], gains: Sequence[Mapping[str, Any]], sentences: Mapping[str, str],
    forecasts: Mapping[str, Mapping[str, Any]], label: str, narrow: bool,
) -> Figure | None:  # fmt: skip
    if not gains:
        return None
    ladder = content["ladder"]
    columns = min(len(gains), 2 if narrow else 3)
    rows = math.ceil(len(gains) / columns)
    height = 2.3 if narrow else 2.5
    figure = new_figure(4.4 if narrow else 8, height * rows + 0.9)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    styles = {arm["name"]: line_style(index) for index, arm in enumerate(content["arms"])}
    low, high = _range(gains, forecasts, ladder["margin"])
    for panel in panels.flat[len(gains) :]:
        panel.set_visible(False)
    for index, row in enumerate(gains):
        panel = panels.flat[index]
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.axhspan(
            1 / (1 + ladder["margin"]), 1 + ladder["margin"], color=GREY, alpha=0.15, linewidth=0
        )
        panel.axhline(1, color=GREY, linewidth=1)
        _draw_arm(panel, row, styles[row["arm"]], (low, high))
        forecast = forecasts.get(row["arm"])
        if forecast is not None:
            at = float(ladder["rungs"][forecast["rung"]]["flops"])
            draw_forecast(panel, at * 1.25, forecast, styles[row["arm"]])
        title = _title(row, sentences, 24 if narrow else 32)
        panel.set_title(title, loc="left", fontsize=_SMALL + 1)
        if index + columns >= len(gains):  # the lowest panel of its column
            panel.tick_params(labelbottom=True)
        add_grid(panel)
        panel.grid(which="minor", axis="x", visible=False)
    costs = [one["cost"] for row in gains for one in row["rungs"]]
    ends = [*costs, *(ladder["rungs"][one["rung"]]["flops"] for one in forecasts.values())]
    ticks = cost_ticks(min(ends) / 1.2, max(ends) * 1.2, 3 if narrow else 4)
    panels.flat[0].set_xticks(list(ticks), list(ticks.values()))
    panels.flat[0].xaxis.set_minor_formatter(NullFormatter())
    panels.flat[0].set_ylim(low, high)
    label_sparsely(panels.flat[0].yaxis)
    figure.supylabel(f"gain over {shorten(ladder['baseline'], 20)}", fontsize=_SMALL + 2)
    figure.supxlabel(f"{label}{_meaning(gains, forecasts, narrow)}", fontsize=_SMALL + 1)
    return figure


def _title(row: Mapping[str, Any], sentences: Mapping[str, str], width: int) -> str:
    """Return the name of an arm and its verdict, in lines of at most ``width`` characters."""
    sentence = "replicate, true gain 1" if row["is_replicate"] else sentences.get(row["arm"], "")
    return "\n".join([shorten(row["arm"], width), *textwrap.wrap(sentence, width)])


def _meaning(gains: Sequence[Mapping[str, Any]], forecasts: Any, narrow: bool) -> str:
    """Return what the marks mean, of those that are drawn."""
    parts = ["grey: the margin"]
    if any(row["trend"] is not None for row in gains):
        parts.insert(0, "line and band: trend")
    if any(one["gain"] is None for row in gains for one in row["rungs"]):
        parts.append("arrows: bounds")
    if forecasts:
        parts.append("hollow: sealed forecast")
    if narrow and len(parts) > 2:
        return f"\n{'; '.join(parts[:2])};\n{'; '.join(parts[2:])}"
    return f"\n{'; '.join(parts)}"


def _range(
    gains: Sequence[Mapping[str, Any]], forecasts: Mapping[str, Mapping[str, Any]], margin: float
) -> tuple[float, float]:
    """Return the range of the axis: of the estimates, and of intervals that go not far beyond."""
    values, ends = [1 / (1 + margin) ** 2, (1 + margin) ** 2], []
    for row in gains:
        for one in row["rungs"]:
            values.append(_tip(one) if one["gain"] is None else one["gain"])
            ends += [end for end in (one["low"], one["high"]) if end is not None]
        if row["trend"] is not None:
            values += [row["trend"]["line"][0], row["trend"]["line"][-1]]
    for forecast in forecasts.values():
        values.append(forecast["value"])
        ends += [forecast["low"], forecast["high"]]
    low, high = min(values), max(values)
    low = max(min([low, *ends]), low / _REACH)
    high = min(max([high, *ends]), high * _REACH)
    return low / 1.04, high * 1.04


def _draw_arm(
    axes: Axes, row: Mapping[str, Any], style: Mapping[str, Any], ends: tuple[float, float]
) -> None:
    trend, colour = row["trend"], style["color"]
    if trend is not None:
        axes.fill_between(trend["cost"], trend["band_low"], trend["band_high"], color=colour,
                          alpha=0.16, linewidth=0)  # fmt: skip
        axes.plot(trend["cost"], trend["line"], color=colour, linewidth=1.3)
    for one in row["rungs"]:
        _draw_interval(axes, one, colour, ends)
        if one["gain"] is not None:
            axes.plot([one["cost"]], [one["gain"]], style["marker"], color=colour, markersize=5.5)
        else:
            mark = "^" if one["bound"] == "at least" else "v"
            axes.plot([one["cost"]], [one["bound_gain"]], "_", color=colour, markersize=9,
                      markeredgewidth=2)  # fmt: skip
            tip = _tip(one)
            axes.plot([one["cost"]] * 2, [one["bound_gain"], tip], color=colour, linewidth=2)
            axes.plot([one["cost"]], [tip], mark, color=colour, markersize=7)


def _tip(one: Mapping[str, Any]) -> float:
    """Return where the arrow of a bound ends."""
    return float(one["bound_gain"] * (_ARROW if one["bound"] == "at least" else 1 / _ARROW))


def _draw_interval(
    axes: Axes, one: Mapping[str, Any], colour: str, ends: tuple[float, float]
) -> None:
    """Draw an interval; an end that the ladder does not bound, or that is far, is an arrowhead."""
    low = ends[0] if one["low"] is None else max(one["low"], ends[0])
    high = ends[1] if one["high"] is None else min(one["high"], ends[1])
    axes.plot([one["cost"]] * 2, [low, high], color=colour, linewidth=1.4)
    for value, end, mark in ((one["low"], ends[0], "v"), (one["high"], ends[1], "^")):
        is_cut = value is None or not ends[0] <= value <= ends[1]
        if is_cut:
            axes.plot([one["cost"]], [end], mark, color=colour, markersize=5, clip_on=False)
        else:
            axes.plot([one["cost"]], [value], "_", color=colour, markersize=5)
