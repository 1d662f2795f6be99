"""The breakdown of a model's FLOPs against a swept setting, as stacked areas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from lmlab.study.figure_style import BLUE, GREEN, ORANGE, add_grid, new_figure

_COLOURS = {"attention": BLUE, "feed-forward": ORANGE, "head": GREEN}


def draw_flop_breakdown(key: str, accounts: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the fractions of forward FLOPs against the values of ``key``.

    Args:
        key: setting that was swept; the label of the axis.
        accounts: cost account by value of the setting. Numbers are drawn on a logarithmic axis.
    """
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    is_numeric = all(value.replace(".", "", 1).isdigit() for value in accounts)
    positions = [float(value) for value in accounts] if is_numeric else list(range(len(accounts)))
    parts = [
        [account["flops"]["shares"].get(group, 0.0) for account in accounts.values()]
        for group in _COLOURS
    ]
    axes.stackplot(
        positions, parts, labels=list(_COLOURS), colors=list(_COLOURS.values()), alpha=0.8
    )
    if is_numeric and min(positions) > 0:
        axes.set_xscale("log", base=2)
    axes.set_xticks(positions, list(accounts))
    axes.minorticks_off()
    axes.set_xlim(min(positions), max(positions))
    axes.set_ylim(0, 1)
    axes.set_xlabel(key)
    axes.set_ylabel("fraction of forward FLOPs")
    axes.legend(loc="lower left")
    add_grid(axes)
    return figure
