"""Panels of scores over training tokens, which figures of probes and of tasks share."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from lmlab.study.figure_style import add_grid, line_style, marks_for, shorten

# The ``tokens`` and scores of the evaluations of a run, by probe or task.
Curves = Mapping[str, Mapping[str, Sequence[float]]]


def draw_score(axes: Axes, by_arm: Mapping[str, Sequence[Curves]], name: str, score: str) -> None:
    """Draw a score of each arm: the mean over runs where all were evaluated, and thin single runs.

    Args:
        axes: the panel.
        by_arm: the curves of each run of each arm, whose order gives their styles.
        name: of the probe or task; runs without it are left out.
        score: which is drawn.
    """
    for index, (arm, runs) in enumerate(by_arm.items()):
        found = [run[name] for run in runs if score in run.get(name, {})]
        points = [dict(zip(one["tokens"], one[score], strict=True)) for one in found]
        _draw_arm(axes, arm, points, line_style(index))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    add_grid(axes)


def _draw_arm(
    axes: Axes, arm: str, points: Sequence[Mapping[float, float]], style: dict[str, Any]
) -> None:
    shared = sorted(set.intersection(*map(set, points))) if points else []
    if not shared:
        return
    axes.plot(
        shared, [statistics.fmean(run[tokens] for run in points) for tokens in shared],
        linewidth=1.6, markersize=4, markevery=marks_for(len(shared)), label=arm or "_run",
        **style,
    )  # fmt: skip
    for run in points if len(points) > 1 else []:
        axes.plot(
            list(run), list(run.values()), color=style["color"], linewidth=0.6, alpha=0.4,
            label="_seed",
        )  # fmt: skip


def finish_panels(
    figure: Figure, panels: Sequence[Axes], number: int, columns: int, title: str
) -> None:
    """Label the lowest panels, hide those without a score, and add title and legend.

    Args:
        figure: the figure.
        panels: all of them, row by row.
        number: how many have a score; they are the first.
        columns: panels in a row.
        title: of the figure.
    """
    for axes in panels[number:]:
        axes.set_visible(False)
    for axes in panels[max(0, number - columns) : number]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("training tokens", fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    handles, labels = panels[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(
            handles, [shorten(label) for label in labels], loc="outside lower center",
            ncols=min(3, len(labels)), fontsize=8, handlelength=4, edgecolor="none",
        )  # fmt: skip
