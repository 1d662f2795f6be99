"""The figure of a learning-rate search: final loss against rate, and which rates are stable."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lmlab.study.chart_scales import limits, loss_scale, set_scale
from lmlab.study.figure_style import (
    DIVERGED_MARK,
    add_grid,
    add_legend,
    line_style,
    new_figure,
    shorten,
)
from lmlab.study.rate_edges import BEYOND, DIVERGED, FAILED, STABLE

_STATE_MARKS = {DIVERGED: DIVERGED_MARK, FAILED: "o", BEYOND: "^"}
_MEANINGS = {
    DIVERGED: "crosses: a run diverged",
    FAILED: "rings around a dot: a run failed to learn",
    BEYOND: "triangles: trained, but above a rate that did not",
}

Losses = dict[float, list[float | None]]  # losses of the seeds by rate; None: diverged


def draw_rates(content: dict[str, Any]) -> Figure | None:
    """Draw the final loss against the peak learning rate, and the edge of stable training.

    The upper panel shows every seed, the mean of each rate and its standard deviation. All rates
    that trained are shown; the loss axis is compressed where a few losses are much worse. The lower
    panel shows for each arm the stable rates, the highest of them, and those at which a run
    diverged or failed to learn, whatever the study needs the run for.
    """
    searches = _losses(content, "search")
    known = [
        loss
        for rates in searches.values()
        for losses in rates.values()
        for loss in losses
        if loss is not None
    ]
    if not known:
        return None
    states = {a["name"]: a["rate_states"] for a in content["arms"] if a["name"] in searches}
    has_edge = any(state != STABLE for rates in states.values() for _, state in rates)
    rows = len(searches) if has_edge else 0
    figure = new_figure(8, 5 + 0.28 * rows + (0.3 if rows else 0))
    panels = figure.subplots(
        2 if rows else 1, 1, sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": [5, 0.28 * rows + 0.3] if rows else [1]},
    )[:, 0]  # fmt: skip
    axes = panels[0]
    axes.set_xscale("log")
    styles = {arm["name"]: line_style(index) for index, arm in enumerate(content["arms"])}
    judged = _losses(content, "judged", "baseline's lr")
    for arm, rates in searches.items():
        _draw_search(axes, arm, rates, styles[arm])
        known += _draw_judged(axes, judged.get(arm, {}), styles[arm])
    scale = loss_scale(known)
    set_scale(axes, "y", scale, *limits(scale, known))
    compressed = "" if scale.width is None else "\nlinear near the best, logarithmic beyond"
    axes.set_ylabel(f"final validation loss ({content['unit']}){compressed}")
    axes.set_title(f"{content['title']}: learning rate search", loc="left")
    add_grid(axes)
    if len(searches) > 1:
        add_legend(axes, list(styles))
    if rows:
        _draw_stability(panels[1], searches, states, styles)
    panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    panels[-1].set_xlabel(
        "peak learning rate (dots: search; open markers: later runs; bars: standard deviation)"
    )
    return figure


def _losses(content: dict[str, Any], *purposes: str) -> dict[str, Losses]:
    """Return the losses of runs with these purposes by arm and rate, in the order of the arms."""
    found: dict[str, Losses] = {}
    for arm in content["arms"]:
        for row in content["rates"]:
            if row["arm"] == arm["name"] and row["purpose"] in purposes:
                found.setdefault(arm["name"], {}).setdefault(row["lr"], []).append(row["loss"])
    return found


def _draw_search(axes: Axes, arm: str, rates: Losses, style: dict[str, Any]) -> None:
    stable = {rate: [loss for loss in losses if loss is not None] for rate, losses in rates.items()}
    stable = {rate: losses for rate, losses in sorted(stable.items()) if losses}
    # Rates at which some seeds diverged have a mean of the others only: it is not connected.
    means = {rate: statistics.fmean(losses) for rate, losses in stable.items()}
    whole = [rate for rate in means if None not in rates[rate]]
    axes.plot(whole, [means[rate] for rate in whole], label=arm, markersize=5, **style)
    _draw_spread(axes, stable, style["color"])


def _draw_judged(axes: Axes, rates: Losses, style: dict[str, Any]) -> list[float]:
    stable = {rate: [loss for loss in losses if loss is not None] for rate, losses in rates.items()}
    _draw_spread(axes, stable, style["color"], style["marker"])
    return [loss for losses in stable.values() for loss in losses]


def _draw_spread(
    axes: Axes, by_rate: Mapping[float, Sequence[float]], colour: str, open_mark: str = ""
) -> None:
    """Draw each seed as a dot or an open marker, and their standard deviation as a bar."""
    several = {rate: losses for rate, losses in by_rate.items() if len(losses) > 1}
    if several:
        axes.errorbar(
            list(several), [statistics.fmean(losses) for losses in several.values()],
            yerr=[statistics.stdev(losses) for losses in several.values()], color=colour,
            capsize=3, elinewidth=1.2, fmt="none",
        )  # fmt: skip
    places = [(rate, loss) for rate, losses in by_rate.items() for loss in losses]
    if places:
        axes.plot(
            *zip(*places, strict=True), open_mark or "o", color=colour,
            markersize=4.5 if open_mark else 3.5, alpha=0.75,
            markerfacecolor="none" if open_mark else colour, label="_seeds",
        )  # fmt: skip


def _draw_stability(
    axes: Axes,
    searches: Mapping[str, Losses],
    states: Mapping[str, Sequence[tuple[float, str]]],
    styles: Mapping[str, dict[str, Any]],
) -> None:
    for y, arm in enumerate(searches):
        colour = styles[arm]["color"]
        by_state = split_states(states[arm])
        stable, unstable = by_state[STABLE], by_state[DIVERGED] + by_state[FAILED]
        axes.plot(stable, [y] * len(stable), "-", color=colour, linewidth=2)
        axes.plot(stable[-1:], [y] * len(stable[-1:]), "|", color=colour, markersize=10,
                  markeredgewidth=2, label="_last stable")  # fmt: skip
        for state, mark in _STATE_MARKS.items():
            rates = by_state[state]
            axes.plot(rates, [y] * len(rates), mark, color=colour, markersize=6,
                      markerfacecolor="none", markeredgewidth=1.6)  # fmt: skip
            if state == FAILED:
                axes.plot(rates, [y] * len(rates), ".", color=colour, markersize=3.5)
        numbers = [f"{rate:g}" for rate in (*stable[-1:], *sorted(unstable)[:1])]
        axes.annotate(" | ".join(numbers), (1.01, y), xycoords=("axes fraction", "data"),
                      fontsize=8, va="center")  # fmt: skip
    axes.set_yticks(range(len(searches)), [shorten(arm, 24) for arm in searches])
    axes.set_ylim(len(searches) - 0.4, -0.6)
    axes.set_title(
        _meaning_of_marks(states), loc="left", fontsize=9,
    )  # fmt: skip
    add_grid(axes)


def _meaning_of_marks(states: Mapping[str, Sequence[tuple[float, str]]]) -> str:
    """Return what the marks below the chart say: only of those that are drawn."""
    drawn = {state for rates in states.values() for _, state in rates}
    marks = [meaning for state, meaning in _MEANINGS.items() if state in drawn]
    parts = ["bar: highest stable rate", *marks, "numbers: highest stable | lowest unstable"]
    whole = [part.replace(" ", "\u00a0") for part in parts]  # lines break between the parts
    return "\n".join(textwrap.wrap("; ".join(whole), width=84)).replace("\u00a0", " ")


def split_states(states: Sequence[tuple[float, str]]) -> dict[str, list[float]]:
    """Return the rates of each state of :func:`lmlab.study.rate_edges.rate_states`, ascending."""
    found: dict[str, list[float]] = {state: [] for state in (STABLE, DIVERGED, FAILED, BEYOND)}
    for rate, state in states:
        found[state].append(rate)
    return found
