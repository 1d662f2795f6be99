"""The breakdown of a model's FLOPs against a swept setting: areas over numbers, or bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lmlab.study.figure_style import BLUE, GREEN, GREY, ORANGE, add_grid, new_figure, shorten

# Hatches distinguish the parts without colour.
_PARTS = {
    "attention": (BLUE, ""), "feed-forward": (ORANGE, "//"), "head": (GREEN, ".."),
    "other": (GREY, "xx"),
}  # fmt: skip


def draw_flop_breakdown(key: str, accounts: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the fractions of forward FLOPs against the values of ``key``.

    Args:
        key: setting that was swept; the label of the axis.
        accounts: cost account by value of the setting. Several positive numbers are drawn in their
            order on a logarithmic axis, other values as bars.
    """
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    shares = {value: account["flops"]["shares"] for value, account in accounts.items()}
    drawn = [part for part in _PARTS if any(found.get(part, 0.0) > 0 for found in shares.values())]
    numbers = {value: number for value in accounts if (number := _positive(value)) is not None}
    if len(set(numbers.values())) == len(accounts) > 1:
        _draw_areas(axes, dict(sorted(numbers.items(), key=lambda item: item[1])), shares, drawn)
    else:
        _draw_bars(axes, shares, drawn)
    axes.set_ylim(0, 1)
    axes.set_xlabel(key)
    axes.set_ylabel("fraction of forward FLOPs")
    add_grid(axes)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, reverse=True)
    return figure


def _positive(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def _draw_areas(
    axes: Axes,
    numbers: Mapping[str, float],
    shares: Mapping[str, Mapping[str, float]],
    drawn: list[str],
) -> None:
    positions = list(numbers.values())
    areas = axes.stackplot(
        positions,
        [[shares[value].get(part, 0.0) for value in numbers] for part in drawn],
        labels=drawn, colors=[_PARTS[part][0] for part in drawn], alpha=0.8,
    )  # fmt: skip
    for area, part in zip(areas, drawn, strict=True):
        area.set(hatch=_PARTS[part][1], edgecolor="white")
    axes.set_xscale("log", base=2)
    axes.set_xticks(positions, list(numbers))
    axes.minorticks_off()
    axes.set_xlim(positions[0], positions[-1])


def _draw_bars(axes: Axes, shares: Mapping[str, Mapping[str, float]], drawn: list[str]) -> None:
    names, below = list(shares), [0.0] * len(shares)
    for part in drawn:
        heights = [found.get(part, 0.0) for found in shares.values()]
        colour, hatch = _PARTS[part]
        axes.bar(range(len(names)), heights, bottom=below, label=part, color=colour, width=0.6,
                 alpha=0.8, hatch=hatch, edgecolor="white")  # fmt: skip
        below = [low + height for low, height in zip(below, heights, strict=True)]
    axes.set_xticks(range(len(names)), [shorten(name, 20) for name in names])
