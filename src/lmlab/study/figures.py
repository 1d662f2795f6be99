"""The figures of a study: verdicts, learning curves, loss against learning rate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lmlab.study.figure_style import GREY, add_grid, label_sparsely, line_style, new_figure, save
from lmlab.study.statistics import INCONCLUSIVE
from lmlab.study.verdicts import OWN_RATE

_MARKS = {"better": "v", "worse": "^", "no difference": "s", INCONCLUSIVE: "o", "diverged": "X"}


def draw_figures(content: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the figures for which the content has data and save them as PNG and SVG.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        folder: folder for the files.

    Returns:
        Paths of the files.
    """
    paths: list[Path] = []
    for name, draw in (
        ("verdicts", draw_verdicts),
        ("curves", draw_curves),
        ("rates", draw_rates),
    ):
        figure = draw(content)
        if figure is not None:
            paths += save(figure, folder / name)
    return paths


def draw_verdicts(content: dict[str, Any]) -> Figure | None:
    """Draw the differences from the baseline with their intervals, one row per arm."""
    rows = [row for row in content["verdicts"] if row["difference"] is not None]
    shown = [row for row in rows if row["at"] == OWN_RATE]
    if not shown:
        return None
    figure = new_figure(8, 1.4 + 0.42 * len(shown))
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=1)
    styles = _styles(content)
    for y, row in enumerate(shown):
        colour = styles[row["arm"]]["color"]
        if row["low"] is not None and row["high"] is not None:
            axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2)
        mark = _MARKS.get(row["verdict"], "o")
        axes.plot(row["difference"], y, mark, color=colour, markersize=8)
        axes.annotate(
            row["verdict"], (1.01, y), xycoords=("axes fraction", "data"), va="center",
            fontsize=9,
        )  # fmt: skip
    axes.set_yticks(range(len(shown)), [row["arm"] for row in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(
        f"difference in final validation loss from the baseline ({content['unit']}; left is better)"
    )
    axes.set_title(f"{content['title']}: each arm at {content['rate_names'][OWN_RATE]}", loc="left")
    add_grid(axes)
    return figure


def draw_curves(content: dict[str, Any]) -> Figure | None:
    """Draw the mean validation loss against tokens, with the range over seeds."""
    groups = _judged_curves(content)
    if not groups:
        return None
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    styles, ends = _styles(content), []
    lows, highs = [], []
    for arm, curves in groups.items():
        points = _mean_points(curves)
        if len(points) < 2:
            continue
        tokens, mean, low, high = zip(*points, strict=True)
        axes.plot(tokens, mean, linewidth=1.6, label=arm, **styles[arm])
        axes.fill_between(tokens, low, high, color=styles[arm]["color"], alpha=0.15, linewidth=0)
        ends.append((mean[-1], arm))
        lows.append(min(low))
        highs.append(mean[min(1, len(mean) - 1)])
    if not ends:
        return None
    axes.set_ylim(min(lows) * 0.985, max(highs) * 1.02)
    axes.set_xlabel("training tokens")
    axes.set_ylabel(f"validation loss ({content['unit']})")
    axes.set_title(f"{content['title']}: mean and range over seeds", loc="left")
    label_sparsely(axes.yaxis)
    add_grid(axes)
    _legend(axes, [arm for _, arm in sorted(ends, reverse=True)])
    return figure


def draw_rates(content: dict[str, Any]) -> Figure | None:
    """Draw the final loss against the peak learning rate, with divergence and its edge."""
    arms = [arm["name"] for arm in content["arms"]]
    points = {
        arm: [row for row in content["rates"] if row["arm"] == arm and row["purpose"] == "search"]
        for arm in arms
    }
    points = {arm: rows for arm, rows in points.items() if rows}
    losses = [row["loss"] for rows in points.values() for row in rows if row["loss"] is not None]
    if not losses:
        return None
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    styles = _styles(content)
    best = min(losses)
    top = best + min(max(losses) - best, max(6 * (_quantile(losses, 0.5) - best), 0.2))
    top = max(top, best + 1e-3)
    for arm, rows in points.items():
        by_rate: dict[float, list[float]] = {}
        for row in rows:
            if row["loss"] is not None:
                by_rate.setdefault(row["lr"], []).append(row["loss"])
        mean = sorted((rate, statistics.fmean(found)) for rate, found in by_rate.items())
        axes.plot(*zip(*mean, strict=True), marker="o", markersize=4, label=arm, **styles[arm])
        diverged = sorted(row["lr"] for row in rows if row["loss"] is None)
        axes.plot(diverged, [top] * len(diverged), "x", color=styles[arm]["color"], markersize=8)
    for arm in content["arms"]:
        if arm["edge"] and arm["name"] in points and None not in arm["edge"]:
            edge = math.sqrt(arm["edge"][0] * arm["edge"][1])
            axes.axvline(edge, linewidth=1, alpha=0.6, color=styles[arm["name"]]["color"],
                         linestyle=":")  # fmt: skip
    axes.set_ylim(best - 0.06 * (top - best), top + 0.04 * (top - best))
    axes.set_xlabel("peak learning rate (dotted lines: edge of divergence; crosses: diverged)")
    axes.set_ylabel(f"final validation loss ({content['unit']})")
    axes.set_title(f"{content['title']}: learning rate search", loc="left")
    add_grid(axes)
    _legend(axes, list(points))
    return figure


def _quantile(values: Sequence[float], q: float) -> float:
    return sorted(values)[int(q * (len(values) - 1))]


def _styles(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {arm["name"]: line_style(index) for index, arm in enumerate(content["arms"])}


def _legend(axes: Axes, order: Sequence[str]) -> None:
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    arms = [arm for arm in order if arm in by_label]
    names = [arm if len(arm) <= 50 else f"{arm[:47]}..." for arm in arms]
    axes.legend(
        [by_label[arm] for arm in arms], names, frameon=True, framealpha=0.85, edgecolor="none",
        fontsize=8, handlelength=3,
        loc="upper right",
    )  # fmt: skip


def _judged_curves(content: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    best = {arm["name"]: arm["best_lr"] for arm in content["arms"]}
    for curve in content["curves"]:
        is_judged = curve["purpose"] == "judged" and curve["lr"] == best.get(curve["arm"])
        if is_judged or curve["purpose"] == "run":
            groups.setdefault(curve["arm"], []).append(curve)
    return groups


def _mean_points(curves: Sequence[dict[str, Any]]) -> list[tuple[float, float, float, float]]:
    """Return (tokens, mean, lowest, highest) where every curve has a point."""
    losses_of_runs = [dict(zip(curve["tokens"], curve["loss"], strict=True)) for curve in curves]
    shared = sorted(set.intersection(*(set(by_tokens) for by_tokens in losses_of_runs)))
    points = []
    for tokens in shared:
        losses = [
            by_tokens[tokens] for by_tokens in losses_of_runs if by_tokens[tokens] is not None
        ]
        if losses and tokens > 0:
            points.append((tokens, statistics.fmean(losses), min(losses), max(losses)))
    return points
