"""The shares of a model's FLOPs along a swept setting, as stacked areas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from lmlab.study.figure_style import BLUE, GREEN, ORANGE, add_grid, new_figure

_COLOURS = {"attention": BLUE, "feed-forward": ORANGE, "head": GREEN}


def draw_shares(key: str, found: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw accounts by the value of ``key``; values that are numbers stand on a log axis."""
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    numbers = all(value.replace(".", "", 1).isdigit() for value in found)
    places = [float(value) for value in found] if numbers else list(range(len(found)))
    parts = [
        [own["flops"]["shares"].get(group, 0.0) for own in found.values()] for group in _COLOURS
    ]
    axes.stackplot(places, parts, labels=list(_COLOURS), colors=list(_COLOURS.values()), alpha=0.8)
    if numbers and min(places) > 0:
        axes.set_xscale("log", base=2)
    axes.set_xticks(places, list(found))
    axes.minorticks_off()
    axes.set_xlim(min(places), max(places))
    axes.set_ylim(0, 1)
    axes.set_xlabel(key)
    axes.set_ylabel("share of forward FLOPs")
    axes.legend(loc="lower left")
    add_grid(axes)
    return figure
