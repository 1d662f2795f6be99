"""The figures of a study: verdicts and learning curves; others have modules of their own."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from lmlab.study.chart_scales import effect_scale, effect_values, limits, set_scale
from lmlab.study.figure_style import (
    DIVERGED_MARK,
    FORMATS,
    GREY,
    add_grid,
    add_legend,
    label_sparsely,
    line_style,
    marks_for,
    new_figure,
    save,
    shorten,
)
from lmlab.study.probe_figure import draw_probes
from lmlab.study.rate_figure import draw_rates
from lmlab.study.section_figures import SECTION_FIGURES
from lmlab.study.sweep_figure import draw_sweep
from lmlab.study.task_figure import draw_tasks
from lmlab.study.verdicts import OWN_RATE

_MAX_DOTS_PER_CURVE = 40
_FEW = 5  # evaluations: of more, the first one, early in training, may leave the figure at the top


def draw_figures(
    content: dict[str, Any], folder: Path, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Draw the figures for which the content has data and save them.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        folder: folder for the files.
        formats: which files to write of each figure: ``png``, ``svg``, ``pdf``.

    Returns:
        Paths of the files.
    """
    paths: list[Path] = []
    for name, draw in (
        ("verdicts", draw_verdicts),
        ("sweep", draw_sweep),
        ("curves", draw_curves),
        ("rates", draw_rates),
        ("probes", draw_probes),
        ("tasks", draw_tasks),
        *SECTION_FIGURES.items(),
    ):
        figure = draw(content)
        if figure is not None:
            paths += save(figure, folder / name, formats)
    return paths


def draw_verdicts(content: dict[str, Any]) -> Figure | None:
    """Draw the differences from the baseline, one row per arm.

    Each row shows the difference of every pair of seeds, their mean and its interval, and both as
    numbers. The ends of the margin are ticks. The scale is compressed where a few effects are much
    larger than the others. An arm without a difference keeps its row, so that a diverged arm is not
    overlooked.
    """
    shown = [row for row in content["verdicts"] if row["at"] == OWN_RATE]
    known = [row for row in shown if row["difference"] is not None]
    if not known:
        return None
    figure = new_figure(8, 1.5 + 0.46 * len(shown))
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=1)
    margin = content.get("margin") or 0.0
    if margin:
        axes.axvspan(-margin, margin, color=GREY, alpha=0.12, linewidth=0)
    values = [-margin, 0.0, margin]
    for y, row in enumerate(shown):
        style = _styles(content)[row["arm"]]
        if row["difference"] is not None:
            values += _draw_effect(axes, y, row, style)
        elif row["verdict"] == "diverged":
            axes.plot([0.98], [y], DIVERGED_MARK, color=style["color"], markersize=8,
                      transform=axes.get_yaxis_transform(), label="_diverged")  # fmt: skip
        axes.annotate(
            _effect_text(row), (1.01, y), xycoords=("axes fraction", "data"), va="center",
            fontsize=9,
        )  # fmt: skip
    scale = effect_scale([effect_values(row) for row in known], margin)
    ends = (-margin, margin) if margin else ()
    set_scale(axes, "x", scale, *limits(scale, values), marked=ends)
    axes.set_yticks(range(len(shown)), [shorten(row["arm"], 40) for row in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    label = f"difference in final validation loss from the baseline\n({content['unit']}"
    label += "; left is better"
    if margin:
        label += f"; grey: the margin, \u00b1{margin:g}"
    if scale.width is not None:
        label += ";\nlinear near zero, logarithmic beyond"
    axes.set_xlabel(f"{label})")
    axes.set_title(f"{content['title']}: each arm at {content['rate_names'][OWN_RATE]}", loc="left")
    add_grid(axes)
    return figure


def _draw_effect(axes: Any, y: int, row: dict[str, Any], style: dict[str, Any]) -> list[float]:
    """Draw one row; return the values that the axis must show."""
    colour = style["color"]
    if row["low"] is not None and row["high"] is not None:
        axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2)
    pairs = row.get("differences", [])
    axes.plot(pairs, [y + 0.22] * len(pairs), ".", color=colour, alpha=0.6, markersize=5,
              label="_seeds")  # fmt: skip
    axes.plot(row["difference"], y, style["marker"], color=colour, markersize=8)
    return effect_values(row)


def _effect_text(row: dict[str, Any]) -> str:
    if row["difference"] is None:
        return str(row["shown_verdict"])
    text = f"{row['difference']:+.3g}"
    if row["low"] is not None and row["high"] is not None:
        text += f" [{row['low']:+.3g}, {row['high']:+.3g}] ({row['confidence']})"
    return f"{text}  {row['shown_verdict']}{', rate in doubt' if row.get('caution') else ''}"


def draw_curves(content: dict[str, Any]) -> Figure | None:
    """Draw the validation loss against tokens: the mean over seeds, and each seed."""
    groups = _judged_curves(content)
    if not groups or content["ladder"] is not None:  # curves of different rungs show nothing
        return None
    # The names of many arms stand below, as those of a factorial study's cells.
    figure = new_figure(8, max(5.0, 4 + 0.13 * len(groups)))
    axes = figure.add_subplot()
    axes.set_yscale("log")
    styles, lows, highs = _styles(content), [], []
    notes: dict[str, str] = {}  # on arms without a curve
    for arm, curves in groups.items():
        points = _mean_points(curves)
        seeds = [[point for point in _points(curve) if point[0] > 0] for curve in curves]
        style = styles[arm]
        if not any(len(seed) > 1 for seed in seeds):
            if all(curve["status"] == "diverged" for curve in curves):
                axes.plot([], [], label=arm, **style)
                notes[arm] = " (diverged)"
            continue
        axes.plot(
            [point[0] for point in points], [point[1] for point in points], linewidth=1.6,
            markersize=5, markevery=marks_for(len(points)), label=arm, **style,
        )  # fmt: skip
        for curve, seed in zip(curves, seeds, strict=True):
            _draw_seed(axes, curve, seed, style["color"])
            lows += [loss for _, loss in seed]
            highs += [loss for _, loss in seed[:1] if len(seed) <= _FEW] or [
                loss for _, loss in seed[1:2]
            ]
    if not lows:
        return None
    axes.set_ylim(min(lows) * 0.985, max(*highs, min(lows) * 1.001) * 1.02)
    axes.set_xlabel("training tokens")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_ylabel(f"validation loss ({content['unit']}; logarithmic axis)")
    axes.set_title(f"{content['title']}: mean over seeds, and each seed", loc="left")
    label_sparsely(axes.yaxis)
    add_grid(axes)
    add_legend(axes, list(styles), notes)
    return figure


def _draw_seed(axes: Any, curve: dict[str, Any], points: list[Any], colour: str) -> None:
    if not points:
        return
    tokens, losses = zip(*points, strict=True)
    dots = "." if len(points) <= _MAX_DOTS_PER_CURVE else ""
    axes.plot(tokens, losses, color=colour, linewidth=0.6, alpha=0.45, marker=dots, markersize=3,
              label="_seed")  # fmt: skip
    # The last dot is the result, which a mean of many seeds would hide.
    last_mark = DIVERGED_MARK if curve["status"] == "diverged" else "."
    axes.plot(tokens[-1:], losses[-1:], last_mark, color=colour, alpha=0.8, markersize=6,
              label="_last")  # fmt: skip


def _styles(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the style of each arm, in the order of legends, samples and tables."""
    return {arm["name"]: line_style(index) for index, arm in enumerate(content["arms"])}


def _judged_curves(content: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    best = {arm["name"]: arm["best_lr"] for arm in content["arms"]}
    for curve in content["curves"]:
        is_judged = curve["purpose"] == "judged" and curve["lr"] == best.get(curve["arm"])
        if (is_judged or curve["purpose"] == "run") and curve["arm"] in best:
            groups.setdefault(curve["arm"], []).append(curve)
    return groups


def _points(curve: dict[str, Any]) -> list[tuple[float, float]]:
    found = zip(curve["tokens"], curve["loss"], strict=True)
    return [(tokens, loss) for tokens, loss in found if loss is not None]


def _mean_points(curves: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    """Return (tokens, mean loss) where every curve has a loss; the others are no sample of it."""
    losses_of_runs = [dict(_points(curve)) for curve in curves]
    shared = sorted(set.intersection(*(set(by_tokens) for by_tokens in losses_of_runs)))
    return [
        (tokens, statistics.fmean(by_tokens[tokens] for by_tokens in losses_of_runs))
        for tokens in shared
        if tokens > 0
    ]
