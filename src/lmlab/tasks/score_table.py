"""A table of the scores of several tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lmlab.tasks.task import TaskResult

_COUNTS = ("num_tokens", "num_bytes")  # shown by no column


def score_table(results: Sequence[tuple[str, TaskResult]]) -> list[str]:
    """Return the lines of a table with a row per task and a column per score.

    A score that is a mean over items has its standard error beside it, after ``±``: that of the
    mean over items drawn like these, for the model as it is.

    Args:
        results: name and result of each task.
    """
    names = list(
        dict.fromkeys(
            name for _, result in results for name in result.scores if name not in _COUNTS
        )
    )
    names = ["num_items", *(name for name in names if name != "num_items")]
    header = ["task", *(name.removeprefix("num_").replace("_", " ") for name in names)]
    rows = [[task, *(_cell(result, name) for name in names)] for task, result in results]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [_line(row, widths) for row in [header, *rows]]


def standard_error(result: TaskResult, name: str) -> float | None:
    """Return the standard error of a score over its items; None if it is not their mean.

    Args:
        result: of a task.
        name: of the score.
    """
    values = [item[name] for item in result.items if name in item]
    if len(values) < 2 or len(values) < len(result.items):
        return None
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _cell(result: TaskResult, name: str) -> str:
    value: Any = result.scores.get(name)
    if value is None:
        return "-"
    if name.startswith("num_"):
        return f"{value:,}"
    error = standard_error(result, name)
    return f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    first, *rest = cells
    aligned = (f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
    return "  ".join([f"{first:<{widths[0]}}", *aligned])
