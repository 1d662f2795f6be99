"""The figure of a coordinate check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from lmlab.console.formatting import format_count
from lmlab.demos.activation_sizes import KINDS
from lmlab.demos.activation_slopes import CHANGE, END, START, Measured
from lmlab.study.figure_style import COLOURS, MARKERS, add_grid, label_sparsely, new_figure

_STYLES: dict[str, Any] = {START: (0, (5, 2)), END: "-", CHANGE: (0, (1.2, 1.4))}


def draw_sizes(measured: Mapping[str, Measured], steps: int) -> Figure:
    """Draw a panel per kind of activation: mean absolute value against width, on log axes.

    Args:
        measured: sizes by parametrization.
        steps: number of updates between both measurements.
    """
    figure = new_figure(8, 5.6)
    panels = figure.subplots(2, 3, sharex=True, sharey=True).flat  # equal slopes look equal
    for kind, axes in zip(KINDS, panels, strict=False):
        for index, found in enumerate(measured.values()):
            for which, style in _STYLES.items():
                widths, values = _means(found, kind, which)
                marker = MARKERS[index % len(MARKERS)]
                axes.plot(
                    widths, values, color=COLOURS[index % len(COLOURS)], linestyle=style,
                    marker=marker, markersize=4, markerfacecolor="none" if which != END else None,
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(kind, loc="left", fontsize=10)
        label_sparsely(axes.yaxis)
        axes.xaxis.set_major_locator(FixedLocator(sorted(next(iter(measured.values())))))
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.xaxis.set_major_formatter("{x:g}")
        add_grid(axes)
    last = figure.axes[-1]
    last.set_axis_off()
    last.legend(handles=_handles(list(measured), steps), loc="center", frameon=False, fontsize=9)
    for axes in figure.axes[2:5]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("width")
    for axes in (figure.axes[0], figure.axes[3]):
        axes.set_ylabel("mean absolute value")
    return figure


def _means(found: Measured, kind: str, which: str) -> tuple[list[int], list[float]]:
    """Return the geometric means over seeds where all are finite and above 0."""
    widths, means = [], []
    for width, of_seeds in found.items():
        values = [getattr(one[kind], which) for one in of_seeds if one is not None]
        if len(values) == len(of_seeds) and min(values) > 0:
            widths.append(width)
            means.append(float(np.exp(np.mean(np.log(values)))))
    return widths, means


def _handles(names: Sequence[str], steps: int) -> list[Line2D]:
    lines = [
        Line2D([], [], color=COLOURS[index % len(COLOURS)], marker=MARKERS[index % len(MARKERS)],
               markersize=5, linestyle="none", label=name)
        for index, name in enumerate(names)
    ]  # fmt: skip
    meanings = {
        START: "at initialization", END: f"after {format_count(steps, 'update')}",
        CHANGE: f"change in {format_count(steps, 'update')}",
    }  # fmt: skip
    styles = [
        Line2D([], [], color="#8A8A8A", linestyle=_STYLES[which], label=meaning)
        for which, meaning in meanings.items()
    ]
    return [*lines, *styles]
