"""Items of the last evaluation of a run, in its folder: ``tasks/<name>.jsonl``.

Those of a probe, whose name is ``probes/<name>``, are in ``probes/<name>.jsonl``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lmlab.run_folder import RunFolder
from lmlab.storage.fields import warn_once
from lmlab.storage.io import atomic_write_text, has_partial_line, scan_jsonl
from lmlab.storage.json_text import dump_json

_DIGITS = 8  # of numbers that are computed in float32


def items_file(run: RunFolder, name: str) -> Path:
    """Return the file of the items of a task."""
    return run.path / f"{name if '/' in name else f'tasks/{name}'}.jsonl"


def write_items(run: RunFolder, name: str, step: int, items: Iterable[Mapping[str, Any]]) -> None:
    """Replace the items of a task by those of the evaluation after ``step`` updates.

    Each line has the ``step``, and what :class:`lmlab.tasks.task.TaskResult` says of an item;
    numbers have eight digits.

    Raises:
        DiskError: the file cannot be written.
    """
    lines = (
        dump_json({"step": step} | {k: _rounded(v) for k, v in item.items()}, separators=(",", ":"))
        for item in items
    )
    atomic_write_text(items_file(run, name), "".join(f"{line}\n" for line in lines))


def read_items(run: RunFolder, name: str, step: int | None = None) -> list[dict[str, Any]]:
    """Return the items of the last evaluation of a task, each with its ``step``.

    Args:
        run: the run folder.
        name: of the task.
        step: of the evaluation that is expected; items of another one count as missing. None for
            whichever was last.

    Returns:
        The items; empty if they are missing or damaged, which a warning says.
    """
    path = items_file(run, name)
    if not path.is_file():
        return []
    rows, num_damaged = scan_jsonl(path)
    steps = {row.get("step") for row in rows}
    num_damaged += has_partial_line(path)
    if num_damaged or len(steps) != 1 or not all("id" in row for row in rows):
        warn_once(f"{path}: cannot be read; its items count as missing")
        return []
    if step is not None and steps != {step}:
        return []
    return rows


def _rounded(value: Any) -> Any:
    is_number = isinstance(value, float) and math.isfinite(value)
    return float(f"{value:.{_DIGITS}g}") if is_number else value
