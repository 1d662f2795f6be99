"""The figures of a study, from the content of its report."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lmlab.study.figure_style import GREY, add_grid, label_sparsely, line_style, new_figure, save

_MARKS = {"better": "v", "worse": "^", "no difference": "s", "too few seeds": "o", "diverged": "X"}


def draw_figures(content: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what there is to draw: verdicts, learning curves, loss against learning rate."""
    made: list[Path] = []
    for name, make in (
        ("verdicts", make_verdicts),
        ("curves", make_curves),
        ("rates", make_rates),
    ):
        figure = make(content)
        if figure is not None:
            made += save(figure, folder / name)
    return made


def make_verdicts(content: dict[str, Any]) -> Figure | None:
    """Differences from the baseline with their intervals; one row an arm."""
    rows = [row for row in content["verdicts"] if row["difference"] is not None]
    shown = [row for row in rows if row["at"] == "own best lr"]
    if not shown:
        return None
    figure = new_figure(8, 1.4 + 0.42 * len(shown))
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=1)
    styles = _styles(content)
    for place, row in enumerate(shown):
        colour = styles[row["arm"]]["color"]
        if row["low"] is not None and row["high"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2)
        mark = _MARKS.get(row["verdict"], "o")
        axes.plot(row["difference"], place, mark, color=colour, markersize=8)
        axes.annotate(
            row["verdict"], (1.01, place), xycoords=("axes fraction", "data"), va="center",
            fontsize=9,
        )  # fmt: skip
    axes.set_yticks(range(len(shown)), [row["arm"] for row in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(
        f"final validation loss, arm minus baseline ({content['unit']}; left is better)"
    )
    axes.set_title(f"{content['title']}: each arm at its own best learning rate", loc="left")
    add_grid(axes)
    return figure


def make_curves(content: dict[str, Any]) -> Figure | None:
    """Mean validation loss against tokens, with the range of the seeds."""
    groups = _judged(content)
    if not groups:
        return None
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    styles, ends = _styles(content), []
    lows, highs = [], []
    for arm, curves in groups.items():
        points = _mean_points(curves, "tokens")
        if len(points) < 2:
            continue
        at, mean, low, high = zip(*points, strict=True)
        axes.plot(at, mean, linewidth=1.6, label=arm, **styles[arm])
        axes.fill_between(at, low, high, color=styles[arm]["color"], alpha=0.15, linewidth=0)
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


def make_rates(content: dict[str, Any]) -> Figure | None:
    """Final loss against peak learning rate, with what diverged and each arm's edge."""
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
        broken = sorted(row["lr"] for row in rows if row["loss"] is None)
        axes.plot(broken, [top] * len(broken), "x", color=styles[arm]["color"], markersize=8)
    for arm in content["arms"]:
        if arm["edge"] and arm["name"] in points and None not in arm["edge"]:
            edge = math.sqrt(arm["edge"][0] * arm["edge"][1])
            axes.axvline(edge, linewidth=1, alpha=0.6, color=styles[arm["name"]]["color"],
                         linestyle=":")  # fmt: skip
    axes.set_ylim(best - 0.06 * (top - best), top + 0.04 * (top - best))
    axes.set_xlabel("peak learning rate (dotted: edge of divergence; crosses: diverged)")
    axes.set_ylabel(f"final validation loss ({content['unit']})")
    axes.set_title(f"{content['title']}: search for the learning rate", loc="left")
    add_grid(axes)
    _legend(axes, list(points))
    return figure


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def _styles(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {arm["name"]: line_style(index) for index, arm in enumerate(content["arms"])}


def _legend(axes: Axes, order: Sequence[str]) -> None:
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    kept = [arm for arm in order if arm in by_label]
    shown = [arm if len(arm) <= 50 else f"{arm[:47]}..." for arm in kept]
    axes.legend(
        [by_label[arm] for arm in kept], shown, frameon=True, framealpha=0.85, edgecolor="none",
        fontsize=8, handlelength=3,
        loc="upper right",
    )  # fmt: skip


def _judged(content: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    best = {arm["name"]: arm["best_lr"] for arm in content["arms"]}
    for curve in content["curves"]:
        is_judged = curve["purpose"] == "judged" and curve["lr"] == best.get(curve["arm"])
        if is_judged or curve["purpose"] == "run":
            groups.setdefault(curve["arm"], []).append(curve)
    return groups


def _mean_points(
    curves: Sequence[dict[str, Any]], axis: str
) -> list[tuple[float, float, float, float]]:
    """(position, mean, lowest, highest) where every curve has a point."""
    series = [dict(zip(curve[axis], curve["loss"], strict=True)) for curve in curves]
    shared = sorted(set.intersection(*(set(one) for one in series)))
    points = []
    for at in shared:
        losses = [one[at] for one in series if one[at] is not None]
        if losses and at > 0:
            points.append((at, statistics.fmean(losses), min(losses), max(losses)))
    return points
