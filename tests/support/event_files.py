"""What TensorBoard itself reads in a folder of event files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sizes = dict.fromkeys(("scalars", "tensors"), 0)  # all of them
    return EventAccumulator(str(folder), size_guidance=sizes).Reload()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The steps and float32 values of each tag."""
    events = read(folder)
    return {
        tag: [(one.step, one.value) for one in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def expected_scalars(rows: list[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """What rows of ``metrics.jsonl`` should be in TensorBoard, in its float32."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for key, value in row.items():
            if key not in ("kind", "name", "step"):
                point = (row["step"], float(np.float32(value)))
                tag = "/".join([row["kind"], *([row["name"]] if "name" in row else []), key])
                found.setdefault(tag, []).append(point)
    return found


def without_final(found: dict[str, list[tuple[int, float]]]) -> dict[str, list[tuple[int, float]]]:
    """The tags of rows, without those of the summary."""
    return {tag: points for tag, points in found.items() if not tag.startswith("final/")}
