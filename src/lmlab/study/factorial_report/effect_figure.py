"""The figure of main effects and two-factor interactions with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from lmlab.study.chart_scales import effect_scale, limits, set_scale
from lmlab.study.figure_style import BLUE, GREY, ORANGE, add_grid, new_figure, shorten

_SMALL = 8  # font size


def draw_effects(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw one row per effect: the contrast of every seed, their mean and its interval.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    factorial = content["factorial"]
    rows = [] if factorial is None else [row for row in factorial["effects"] if row["order"] <= 2]
    if not rows:
        return None
    figure = new_figure(4.4 if narrow else 8, 1.5 + 0.42 * len(rows))
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=1)
    margin = factorial["margin"]
    if margin:
        axes.axvspan(-margin, margin, color=GREY, alpha=0.12, linewidth=0)
    values = [-margin, 0.0, margin]
    for y, row in enumerate(rows):
        values += _draw_row(axes, y, row)
        if not narrow:
            axes.annotate(_text(row), (1.01, y), xycoords=("axes fraction", "data"), va="center",
                          fontsize=_SMALL + 1)  # fmt: skip
    scale = effect_scale([_values(row) for row in rows], margin)
    ends = (-margin, margin) if margin else ()
    set_scale(axes, "x", scale, *limits(scale, values), marked=ends)
    axes.set_yticks(range(len(rows)), [shorten(row["name"], 20 if narrow else 36) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    label = f"effect on the final validation loss\n({content['unit']}; left is better"
    label += f";\ngrey: the margin, \u00b1{margin:g}" if margin else ""
    if scale.width is not None:
        label += ";\nlinear near zero, logarithmic beyond"
    axes.set_xlabel(f"{label})", fontsize=_SMALL + 1 if narrow else None)
    axes.set_title(f"{content['title']}: effects of factors", loc="left", fontsize=11)
    add_grid(axes)
    return figure


def _draw_row(axes: Any, y: int, row: Mapping[str, Any]) -> list[float]:
    """Draw one effect; return the values that the axis must show."""
    colour, marker = (BLUE, "o") if row["order"] == 1 else (ORANGE, "s")
    if row["low"] is not None and row["high"] is not None:
        axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2)
    seeds = row["contrasts"]
    axes.plot(seeds, [y + 0.22] * len(seeds), ".", color=colour, alpha=0.6, markersize=5)
    is_clear = row["verdict"] in ("better", "worse")
    axes.plot(row["estimate"], y, marker, color=colour, markersize=7,
              markerfacecolor=colour if is_clear else "none")  # fmt: skip
    return _values(row)


def _values(row: Mapping[str, Any]) -> list[float]:
    ends = [row["low"], row["high"]]
    return [row["estimate"], *row["contrasts"], *(one for one in ends if one is not None)]


def _text(row: Mapping[str, Any]) -> str:
    return f"{row['estimate']:+.3g}  {row['shown']}"
