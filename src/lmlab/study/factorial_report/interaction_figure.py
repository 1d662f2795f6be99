"""The interaction plot: the mean loss at the four combinations of each pair of factors."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure

from lmlab.study.figure_style import BLUE, ORANGE, add_grid, new_figure, shorten

_SMALL = 8  # font size
_MAX_PANELS = 6


def draw_interactions(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw a panel for each pair of factors, the strongest interaction first, six at most.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    factorial = content["factorial"]
    panels = [] if factorial is None else factorial["panels"][:_MAX_PANELS]
    if not panels:
        return None
    columns = min(len(panels), 2 if narrow else 3)
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(4.4 if narrow else 8, 0.6 + 2.4 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        for values, colour, marker, dash, level in (
            (panel["off"], BLUE, "o", "-", "off"), (panel["on"], ORANGE, "s", (0, (5, 2)), "on"),
        ):  # fmt: skip
            axes.plot([0, 1], values, color=colour, marker=marker, linestyle=dash, linewidth=1.4,
                      markersize=5, label=f"{shorten(panel['lines'], 14)} {level}")  # fmt: skip
        name = shorten(panel["x"], 14)
        axes.set_xticks([0, 1], [f"{name} off", f"{name} on"])
        axes.set_xlim(-0.2, 1.2)
        axes.tick_params(labelsize=_SMALL - narrow)
        axes.set_title(f"{panel['estimate']:+.3g}  {_verdict(panel['shown'])}", loc="left",
                       fontsize=_SMALL)  # fmt: skip
        axes.legend(fontsize=_SMALL - 1, handlelength=2.4, framealpha=0.8, edgecolor="none")
        add_grid(axes)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    figure.supylabel(f"mean validation loss ({content['unit']})", fontsize=_SMALL + 1)
    figure.suptitle(f"{content['title']}: pairs of factors", x=0.01, ha="left", fontsize=11)
    return figure


def _verdict(shown: str) -> str:
    return "none that matters" if shown.startswith("no interaction") else shown
