"""The figure of a ladder's losses: loss against compute, and distances from the baseline."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from lmlab.study.figure_style import (
    GREY,
    add_grid,
    label_sparsely,
    line_style,
    new_figure,
    shorten,
)
from lmlab.study.ladder_report.wording import cost_ticks

# Arms are set side by side, so far apart and over so much, in parts of the least distance of rungs.
_STEP, _SPREAD = 0.05, 0.3
_SMALL = 8  # font size


def draw_losses(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw the losses of a ladder against training compute.

    The upper panel has both axes logarithmic: seeds, means, the fitted laws, and the sealed
    forecasts. Curves of arms that differ little lie on each other there, so the lower panel shows
    the difference of each mean from the law of the baseline, with the arms of a rung side by side.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    ladder = content["ladder"]
    if ladder is None or not any(one["mean"] for row in ladder["losses"] for one in row["rungs"]):
        return None
    law = _law_of_baseline(ladder)
    rows = 1 if law is None else 2
    figure = new_figure(4.4 if narrow else 8, 3.4 * rows + (0.9 if narrow else 0.4))
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    panels[0].set_xscale("log")
    panels[0].set_yscale("log")
    styles = {arm["name"]: line_style(index) for index, arm in enumerate(content["arms"])}
    shifts = shifts_of([row["arm"] for row in ladder["losses"]], _costs(ladder))
    forecasts = sealed_forecasts(ladder, "loss")
    for curve in ladder["curves"]:
        _draw_curve(panels[0], curve, styles[curve["arm"]])
    for row in ladder["losses"]:
        _draw_losses(panels[0], row, styles[row["arm"]])
        forecast = forecasts.get(row["arm"])
        if forecast is not None:
            draw_forecast(panels[0], row["rungs"][forecast["rung"]]["flops"], forecast,
                          styles[row["arm"]], with_interval=False)  # fmt: skip
    name_rungs(panels[0], ladder["rungs"])
    label_sparsely(panels[0].yaxis)
    panels[0].set_ylabel(f"final validation loss ({content['unit']})", fontsize=_SMALL + 1)
    panels[0].set_title(
        f"{content['title']}: loss against compute", loc="left", fontsize=11, pad=16
    )
    if law is not None:
        _draw_differences(panels[1], content, styles, shifts, forecasts)
    for panel in panels:
        add_grid(panel)
        panel.grid(which="minor", axis="x", visible=False)
    costs = [one["flops"] for row in ladder["losses"] for one in row["rungs"]]
    ticks = cost_ticks(min(costs) / 1.2, max(costs) * 1.2, 5 if narrow else 8)
    panels[-1].set_xticks(list(ticks), list(ticks.values()))
    panels[-1].xaxis.set_minor_formatter(NullFormatter())
    beside = "; below, arms of a rung are set side by side" if law is not None else ""
    gap = "\n" if narrow else " "
    panels[-1].set_xlabel(f"training compute{gap}(FLOPs{beside})", fontsize=_SMALL + 1)
    _add_legend(figure, styles, bool(forecasts), narrow)
    return figure


def _costs(ladder: Mapping[str, Any]) -> list[float]:
    return [float(rung["flops"]) for rung in ladder["rungs"]]


def shifts_of(names: Sequence[str], costs: Sequence[float]) -> dict[str, float]:
    """Return the factor of the x position of each arm, which sets the arms of a rung side by side.

    Args:
        names: of the arms.
        costs: of the rungs.
    """
    step = _step(len(names), costs)
    middle = (len(names) - 1) / 2
    return {name: math.exp(step * (number - middle)) for number, name in enumerate(names)}


def _step(number: int, costs: Sequence[float]) -> float:
    """Return the distance of neighbours of ``number`` arms, on the axis of logarithms."""
    gaps = np.diff(np.log(costs))
    gap = float(gaps.min()) if len(gaps) else 0.3
    return gap * min(_STEP, _SPREAD / max(number - 1, 1))


def sealed_forecasts(ladder: Mapping[str, Any], quantity: str) -> dict[str, dict[str, Any]]:
    """Return the newest sealed forecast of each arm, with its ``rung``."""
    return {
        row["arm"]: {**row, "rung": seal["rung"]}
        for seal in ladder["seals"]
        for row in seal["rows"]
        if row["quantity"] == quantity
    }


def name_rungs(axes: Axes, rungs: Sequence[Mapping[str, Any]]) -> None:
    """Write the name of each rung above the axes, at its compute."""
    for rung in rungs:
        axes.annotate(
            rung["name"], (rung["flops"], 1.01), xycoords=axes.get_xaxis_transform(), ha="center",
            va="bottom", fontsize=_SMALL, color=GREY,
        )  # fmt: skip


def draw_forecast(
    axes: Axes, x: float, forecast: Mapping[str, Any], style: Mapping[str, Any],
    with_interval: bool = True,
) -> None:  # fmt: skip
    """Draw a sealed forecast as a hollow marker with its interval."""
    if with_interval:
        axes.plot([x, x], [forecast["low"], forecast["high"]], color=style["color"], linewidth=1,
                  linestyle=(0, (1, 1.5)), label="_interval", clip_on=True)  # fmt: skip
    axes.plot([x], [forecast["value"]], style["marker"], color=style["color"], markersize=6.5,
              markerfacecolor="none", markeredgewidth=1.3, label="_forecast")  # fmt: skip


def _draw_curve(axes: Axes, curve: Mapping[str, Any], style: Mapping[str, Any]) -> None:
    axes.plot(curve["flops"], curve["loss"], color=style["color"], linestyle=style["linestyle"],
              linewidth=1.2, label="_law")  # fmt: skip


def _draw_losses(axes: Axes, row: Mapping[str, Any], style: Mapping[str, Any]) -> None:
    known = [one for one in row["rungs"] if one["mean"] is not None]
    for one in known:
        axes.plot([one["flops"]] * len(one["losses"]), one["losses"], ".", color=style["color"],
                  alpha=0.5, markersize=4, label="_seeds")  # fmt: skip
    axes.plot([one["flops"] for one in known], [one["mean"] for one in known], style["marker"],
              color=style["color"], markersize=5.5, label="_means")  # fmt: skip


def _law_of_baseline(ladder: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = [row["shared"] for row in ladder["fits"] if row["arm"] == ladder["baseline"]]
    return found[0] if found and len(ladder["losses"]) > 1 else None


def _draw_differences(
    axes: Axes, content: dict[str, Any], styles: Mapping[str, Any], shifts: Mapping[str, float],
    forecasts: Mapping[str, Any],
) -> None:  # fmt: skip
    """Draw mean losses minus the law of the baseline at the compute of each arm."""
    ladder = content["ladder"]
    law = _law_of_baseline(ladder)
    assert law is not None

    def base(flops: float) -> float:
        return float(
            law["asymptote"] + math.exp(law["log_amplitude"] - law["exponent"] * math.log(flops))
        )

    axes.axhline(0, color=GREY, linewidth=1)
    values: list[float] = [0.0]
    for curve in ladder["curves"]:
        if curve["arm"] != ladder["baseline"]:
            apart = [loss - base(x) for x, loss in zip(curve["flops"], curve["loss"], strict=True)]
            style = styles[curve["arm"]]
            axes.plot(curve["flops"], apart, color=style["color"], linestyle=style["linestyle"],
                      linewidth=1, alpha=0.7, label="_law")  # fmt: skip
            values += apart
    for row in ladder["losses"]:
        style, shift = styles[row["arm"]], shifts[row["arm"]]
        for one in row["rungs"]:
            if one["mean"] is None:
                continue
            middle, sd = one["mean"] - base(one["flops"]), one["sd"] or 0.0
            axes.errorbar([one["flops"] * shift], [middle], yerr=[sd], color=style["color"],
                          marker=style["marker"], markersize=5, capsize=2.5, elinewidth=1.2,
                          linestyle="none", label="_mean")  # fmt: skip
            values += [middle - sd, middle + sd]
        forecast = forecasts.get(row["arm"])
        if forecast is not None:
            flops = row["rungs"][forecast["rung"]]["flops"]
            moved = {key: forecast[key] - base(flops) for key in ("value", "low", "high")}
            draw_forecast(axes, flops * shift * _beside(ladder), moved, style)
            values.append(moved["value"])
    low, high = min(values), max(values)
    margin = 0.12 * (high - low) or 0.01
    axes.set_ylim(low - margin, high + margin)
    label = f"loss minus the law of {shorten(ladder['baseline'], 16)}\n({content['unit']})"
    axes.set_ylabel(label, fontsize=_SMALL + 1)


def _beside(ladder: Mapping[str, Any]) -> float:
    """Return the factor by which forecasts stand to the right of what they forecast."""
    return math.exp(0.5 * _step(len(ladder["losses"]), _costs(ladder)))


def _add_legend(
    figure: Figure, styles: Mapping[str, dict[str, Any]], has_forecasts: bool, narrow: bool
) -> None:
    handles = [Line2D([], [], markersize=5.5, linewidth=1.2, **style) for style in styles.values()]
    names = [shorten(name, 24) for name in styles]
    if has_forecasts:
        handles.append(
            Line2D([], [], color=GREY, marker="o", markerfacecolor="none", linestyle=(0, (1, 1.5)))
        )
        names.append("sealed forecast")
    widest = statistics.fmean(len(name) for name in names)
    columns = max(1, min(len(names), (3 if narrow else 6) if widest < 12 else (2 if narrow else 4)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=_SMALL,
                  handlelength=3, edgecolor="none")  # fmt: skip
