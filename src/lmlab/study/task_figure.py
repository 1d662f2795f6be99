"""Figures of tasks: scores over training tokens, a column per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lmlab.run_folder import RunFolder
from lmlab.storage.record_fields import source_rows, task_rows
from lmlab.study.figure_style import new_figure, save, shorten
from lmlab.study.score_panels import Curves, draw_score, finish_panels
from lmlab.study.task_section import MOST_DRAWN, curves_of

_COLUMNS = 4


def draw_run_tasks(run_folder: Path) -> list[Path]:
    """Draw the tasks of one run into its folder.

    Returns:
        Paths of ``tasks.png``, ``.svg`` and ``.pdf``; empty if the run has no tasks.
    """
    run = RunFolder(Path(run_folder))
    curves = curves_of([*source_rows(run.rows("validation")), *task_rows(run.rows("tasks"))])
    if not curves:
        return []
    name = "/".join(run.path.resolve().parts[-3:])
    return save(_draw({"": [curves]}, shorten(name, 80)), run.path / "tasks")


def draw_tasks(content: Mapping[str, Any]) -> Figure | None:
    """Draw the tasks of a study: means over seeds, and single seeds.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.

    Returns:
        The figure; None without tasks, and for a ladder, whose rungs have no common axis.
    """
    tasks = content.get("tasks")
    if not tasks or content["ladder"] is not None:
        return None
    by_arm: dict[str, list[Curves]] = {arm["name"]: [] for arm in content["arms"]}
    for curve in tasks["curves"]:
        by_arm.setdefault(curve["arm"], []).append(curve["tasks"])
    return _draw(by_arm, f"{content['title']}: scores on tasks")


def _draw(by_arm: Mapping[str, Sequence[Curves]], title: str) -> Figure:
    panels = _panels(by_arm)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(max(6.0, 2.9 * columns), 0.9 + 2.1 * rows)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).flatten()
    for axes, (task, score) in zip(grid, panels, strict=False):
        draw_score(axes, by_arm, task, score)
        axes.set_title(shorten(task, 28), loc="left", fontsize=10)
        axes.set_ylabel(score.replace("_", " "), fontsize=8)
        if score == "accuracy":
            axes.set_ylim(-0.03, 1.03)
        axes.tick_params(labelsize=8)
    finish_panels(figure, list(grid), len(panels), columns, title)
    return figure


def _panels(by_arm: Mapping[str, Sequence[Curves]]) -> list[tuple[str, str]]:
    """Return task and score of each panel, of the first tasks."""
    scores: dict[str, list[str]] = {}
    for runs in by_arm.values():
        for run in runs:
            for task, curve in run.items():
                scores.setdefault(task, [key for key in curve if key != "tokens"])
    return [(task, score) for task, keys in list(scores.items())[:MOST_DRAWN] for score in keys]
