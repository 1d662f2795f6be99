"""The figure of a plain sweep: the final loss against the settings that were swept."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from lmlab.study.chart_scales import Scale, limits, loss_scale, set_scale, ticks
from lmlab.study.figure_style import (
    BLUE,
    DIVERGED_MARK,
    ORANGE,
    add_grid,
    add_legend,
    line_style,
    new_figure,
    shorten,
)
from lmlab.study.sweep_section import text_of

Point = dict[str, Any]
_MAX_ANNOTATED_CELLS = 150
_MAX_ROWS = 60
# Not quite white and black, which themes exchange: these are read on the colours of cells.
_LIGHT_INK, _DARK_INK = "#fdfdfd", "#101010"


def draw_sweep(content: dict[str, Any]) -> Figure | None:
    """Draw the final loss against the swept settings.

    One numeric setting gives a line, two a heat map, a numeric one and another a line for each
    value of the other; anything else gives one row of dots per arm. Every seed is a dot.

    Returns:
        The figure; None if nothing was swept or no run has finished.
    """
    keys = content["sweep"]["keys"]
    points = [point for point in content["sweep"]["points"] if is_final(point)]
    if not keys or not any(point["loss"] is not None for point in points):
        return None
    kind = kind_of(keys, points)
    if kind == "lines":
        return _draw_lines(content, keys, points)
    if kind == "heat map":
        return _draw_heat_map(content, keys, points)
    return _draw_rows(content, keys, points)


def is_final(point: Point) -> bool:
    """Return whether a run has a result: a final loss, or divergence."""
    return point["loss"] is not None or point["status"] in ("done", "diverged")


def kind_of(keys: Sequence[str], points: Sequence[Point]) -> str:
    """Return how a sweep is drawn: ``lines``, ``heat map`` or ``rows``."""
    numeric = [
        is_numeric([point["values"][index] for point in points]) for index in range(len(keys))
    ]
    several = [len({point["values"][index] for point in points}) > 1 for index in range(len(keys))]
    if len(keys) == 1 and numeric[0] and several[0]:
        return "lines"
    if len(keys) == 2 and all(numeric) and all(several):
        return "heat map"
    if len(keys) == 2 and any(n and s for n, s in zip(numeric, several, strict=True)):
        return "lines"
    return "rows"


def is_numeric(values: Sequence[Any]) -> bool:
    """Return whether all values are numbers."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def is_geometric(values: Sequence[float]) -> bool:
    """Return whether values are spaced by factors rather than by differences."""
    ordered = sorted(set(values))
    if len(ordered) < 2 or ordered[0] <= 0:
        return False
    if len(ordered) == 2:
        return ordered[1] / ordered[0] >= 4
    gaps = [high - low for low, high in itertools.pairwise(ordered)]
    ratios = [math.log(high / low) for low, high in itertools.pairwise(ordered)]
    return max(ratios) / min(ratios) < max(gaps) / min(gaps)


def _y_label(content: dict[str, Any], is_compressed: bool = False) -> str:
    compressed = "\nscale compressed away from the best" if is_compressed else ""
    return f"final validation loss ({content['unit']}){compressed}"


def _draw_lines(content: dict[str, Any], keys: Sequence[str], points: Sequence[Point]) -> Figure:
    """Draw a line over the numeric setting, one for each value of the other setting if any."""
    over = next(
        index for index in range(len(keys))
        if is_numeric([point["values"][index] for point in points])
        and len({point["values"][index] for point in points}) > 1
    )  # fmt: skip
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    if is_geometric([point["values"][over] for point in points]):
        axes.set_xscale("log")
    groups: dict[str, list[Point]] = {}
    for point in points:
        other = [value for index, value in enumerate(point["values"]) if index != over]
        groups.setdefault("".join(map(text_of, other)), []).append(point)
    for index, (label, group) in enumerate(groups.items()):
        _draw_line(axes, label, group, over, line_style(index))
    values = sorted({point["values"][over] for point in points})
    if len(values) <= 9:
        axes.set_xticks(values, [text_of(value) for value in values])
        axes.set_xticks([], minor=True)
    losses = [point["loss"] for point in points if point["loss"] is not None]
    scale = loss_scale(losses)
    set_scale(axes, "y", scale, *limits(scale, losses, 0.08))
    axes.set_xlabel(keys[over])
    axes.set_ylabel(_y_label(content, scale.width is not None))
    axes.set_title(_title(content, points), loc="left", fontsize=11)
    add_grid(axes)
    if len(groups) > 1:
        add_legend(axes, list(groups))
        legend = axes.get_legend() or figure.legends[0]
        legend.set_title(keys[1 - over])
    return figure


def _title(content: dict[str, Any], points: Sequence[Point]) -> str:
    notes = ["mean and standard deviation; dots: seeds"]
    if any(point["loss"] is None for point in points):
        notes.append("crosses: diverged")
    return f"{content['title']}: {'; '.join(notes)}"


def _draw_line(
    axes: Axes, label: str, points: Sequence[Point], over: int, style: dict[str, Any]
) -> None:
    by_value: dict[float, list[float | None]] = {}
    for point in points:
        by_value.setdefault(point["values"][over], []).append(point["loss"])
    means = []
    for value, losses in sorted(by_value.items()):
        known = [loss for loss in losses if loss is not None]
        axes.plot([value] * len(known), known, "o", color=style["color"], alpha=0.55, markersize=4,
                  label="_seeds")  # fmt: skip
        if None in losses:  # a diverged run has no loss, so its cross is drawn at the top
            axes.plot([value], [0.97], DIVERGED_MARK, color=style["color"], markersize=8,
                      transform=axes.get_xaxis_transform(), label="_diverged")  # fmt: skip
            axes.annotate(
                f"{losses.count(None)}/{len(losses)}", (value, 0.97), fontsize=8,
                xycoords=axes.get_xaxis_transform(), xytext=(7, -3), textcoords="offset points",
            )  # fmt: skip
        else:
            means.append((value, statistics.fmean(known)))
        if len(known) > 1:
            axes.errorbar(value, statistics.fmean(known), yerr=statistics.stdev(known), capsize=3,
                          color=style["color"], elinewidth=1.2, fmt="none")  # fmt: skip
    axes.plot(*(zip(*means, strict=True) if means else ((), ())), label=label, markersize=6,
              linewidth=1.6, **style)  # fmt: skip


def _draw_heat_map(content: dict[str, Any], keys: Sequence[str], points: Sequence[Point]) -> Figure:
    columns = sorted({point["values"][0] for point in points})
    rows = sorted({point["values"][1] for point in points}, reverse=True)
    cells = {(row, column): [p["loss"] for p in points if p["values"] == [column, row]]
             for row in rows for column in columns}  # fmt: skip
    means = [[_mean(cells[row, column]) for column in columns] for row in rows]
    known = [mean for line in means for mean in line if not math.isnan(mean)]
    figure = new_figure(2.6 + 0.95 * max(len(columns), 3), 1.8 + 0.6 * max(len(rows), 3))
    axes = figure.add_subplot()
    scale = loss_scale(known) if known else None
    places = [[math.nan if scale is None or math.isnan(mean) else scale.forward(mean)
               for mean in line] for line in means]  # fmt: skip
    image = axes.imshow(places, cmap="cividis_r", aspect="auto")
    axes.set_xticks(range(len(columns)), [text_of(value) for value in columns])
    axes.set_yticks(range(len(rows)), [text_of(value) for value in rows])
    if len(cells) > _MAX_ANNOTATED_CELLS:
        _add_colour_bar(figure, axes, image, scale)
    else:
        best = min(known, default=None)
        low, high = image.get_clim()
        dark = low + 0.55 * (high - low)
        for (row, column), losses in cells.items():
            y, x = rows.index(row), columns.index(column)
            is_dark = not math.isnan(places[y][x]) and places[y][x] > dark
            axes.text(x, y, _cell_text(losses), ha="center", va="center", fontsize=8,
                      color=_LIGHT_INK if is_dark else _DARK_INK,
                      fontweight="bold" if means[y][x] == best else "normal")  # fmt: skip
    axes.set_xlabel(keys[0])
    axes.set_ylabel(keys[1])
    axes.set_title(f"{content['title']}: {_y_label(content)}\nmean ± standard deviation over seeds",
                   loc="left", fontsize=10)  # fmt: skip
    return figure


def _add_colour_bar(figure: Figure, axes: Axes, image: AxesImage, scale: Scale | None) -> None:
    """Give the losses of the colours where the cells are too small for numbers."""
    bar = figure.colorbar(image, ax=axes)
    low, high = image.get_clim()
    if scale is None or low == high:
        return
    ends = [scale.inverse(place) for place in (low, high)]
    found = ticks(scale, ends[0], ends[1])
    bar.set_ticks([scale.forward(tick) for tick in found], labels=[f"{tick:g}" for tick in found])


def _mean(losses: Sequence[float | None]) -> float:
    """Return the mean of a cell; NaN if it is empty or a seed diverged."""
    known = [loss for loss in losses if loss is not None]
    return statistics.fmean(known) if known and len(known) == len(losses) else math.nan


def _cell_text(losses: Sequence[float | None]) -> str:
    known = [loss for loss in losses if loss is not None]
    if not losses:
        return ""
    if len(known) < len(losses):
        return f"diverged\n{len(losses) - len(known)}/{len(losses)}"
    spread = f"\n± {statistics.stdev(known):.2g}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.3f}{spread}"


def _draw_rows(content: dict[str, Any], keys: Sequence[str], points: Sequence[Point]) -> Figure:
    """Draw one row per combination of values: every seed, the mean, and the standard deviation."""
    groups: dict[str, list[float | None]] = {}
    for point in points:
        groups.setdefault(", ".join(map(text_of, point["values"])), []).append(point["loss"])
    shown = dict(list(groups.items())[:_MAX_ROWS])
    losses = [loss for found in shown.values() for loss in found if loss is not None]
    figure = new_figure(8, 1.4 + 0.42 * len(shown))
    axes = figure.add_subplot()
    for y, found in enumerate(shown.values()):
        known = [loss for loss in found if loss is not None]
        axes.plot(known, [y] * len(known), "o", color=BLUE, alpha=0.5, markersize=4.5,
                  label="_seeds")  # fmt: skip
        if known:
            axes.errorbar(
                statistics.fmean(known), y, xerr=_spread(known),
                fmt="D", color=BLUE, capsize=3, markersize=6, markerfacecolor="none",
                label="_mean",
            )  # fmt: skip
        if len(known) < len(found):
            axes.plot([0.98], [y], DIVERGED_MARK, color=ORANGE, markersize=8,
                      transform=axes.get_yaxis_transform(), label="_diverged")  # fmt: skip
        axes.annotate(_row_text(found), (1.01, y), xycoords=("axes fraction", "data"), fontsize=9,
                      va="center")  # fmt: skip
    if losses:
        scale = loss_scale(losses)
        set_scale(axes, "x", scale, *limits(scale, losses))
    axes.set_yticks(range(len(shown)), [shorten(name, 40) for name in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(_y_label(content, bool(losses) and scale.width is not None))
    axes.set_ylabel(shorten(", ".join(keys)))
    axes.set_title(_title(content, points), loc="left", fontsize=11)
    add_grid(axes)
    return figure


def _spread(losses: Sequence[float]) -> float | None:
    return statistics.stdev(losses) if len(losses) > 1 else None


def _row_text(losses: Sequence[float | None]) -> str:
    return _cell_text(losses).replace("\n", " ")
